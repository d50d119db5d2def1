#include "sandbox.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The string library without patterns. Each function charges for the bytes that it touches.

#define BYTES_A_UNIT 32

static const char *checked_text(lua_State *L, int index, size_t *byte_count) {
    const char *bytes = checked_string(L, index, byte_count);
    charge(L, 1 + (int64_t)(*byte_count / BYTES_A_UNIT));
    return bytes;
}

// ---- a growing text

void buffer_open(lua_State *L, text_buffer *buffer, size_t capacity) {
    *buffer = (text_buffer){L, 0, NULL, 0, capacity < 64 ? 64 : capacity};
    buffer->bytes = lua_newuserdatauv(L, buffer->capacity, 0);
    buffer->slot = lua_gettop(L);
}

char *buffer_reserve(text_buffer *buffer, size_t extra) {
    if (extra > SIZE_MAX / 4) fail_evaluation(buffer->state, MILLRACE_LUA_OVER_MEMORY);
    if (buffer->used + extra > buffer->capacity) {
        size_t wanted = buffer->capacity * 2;
        if (wanted < buffer->used + extra) wanted = buffer->used + extra;
        charge(buffer->state, (int64_t)(buffer->used / BYTES_A_UNIT));
        char *moved = lua_newuserdatauv(buffer->state, wanted, 0);
        memcpy(moved, buffer->bytes, buffer->used);
        lua_replace(buffer->state, buffer->slot);
        buffer->bytes = moved;
        buffer->capacity = wanted;
    }
    return buffer->bytes + buffer->used;
}

void buffer_add(text_buffer *buffer, const char *bytes, size_t byte_count) {
    char *room = buffer_reserve(buffer, byte_count);
    if (byte_count > 0) memcpy(room, bytes, byte_count);
    buffer->used += byte_count;
}

void buffer_push(text_buffer *buffer) {
    charge(buffer->state, (int64_t)(buffer->used / BYTES_A_UNIT));
    lua_pushlstring(buffer->state, buffer->bytes, buffer->used);
}

// ---- pieces

// The first byte of a script's range, counted from 1; a negative position counts from the end.
static size_t range_start(lua_Integer position, size_t byte_count) {
    if (position > 0) return (size_t)position;
    if (position == 0 || position < -(lua_Integer)byte_count) return 1;
    return byte_count + (size_t)position + 1;
}

static size_t range_end(lua_Integer position, size_t byte_count) {
    if (position > (lua_Integer)byte_count) return byte_count;
    if (position >= 0) return (size_t)position;
    if (position < -(lua_Integer)byte_count) return 0;
    return byte_count + (size_t)position + 1;
}

static int text_sub(lua_State *L) {
    size_t byte_count = 0;
    const char *bytes = checked_string(L, 1, &byte_count);
    size_t start = range_start(checked_integer(L, 2), byte_count);
    size_t end = range_end(optional_integer(L, 3, -1), byte_count);
    if (start > end) {
        lua_pushliteral(L, "");
        return 1;
    }
    charge(L, (int64_t)((end - start) / BYTES_A_UNIT));
    lua_pushlstring(L, bytes + start - 1, end - start + 1);
    return 1;
}

static int text_byte(lua_State *L) {
    size_t byte_count = 0;
    const char *bytes = checked_string(L, 1, &byte_count);
    lua_Integer position = optional_integer(L, 2, 1);
    size_t start = range_start(position, byte_count);
    size_t end = range_end(optional_integer(L, 3, position), byte_count);
    if (start > end) return 0;
    if (end - start >= 1000) return luaL_error(L, "byte: more than 1000 results");
    luaL_checkstack(L, (int)(end - start) + 1, "byte: too many results");
    for (size_t at = start; at <= end; at++) lua_pushinteger(L, (unsigned char)bytes[at - 1]);
    charge(L, (int64_t)(end - start));
    return (int)(end - start) + 1;
}

static int text_char(lua_State *L) {
    int count = lua_gettop(L);
    text_buffer out;
    buffer_open(L, &out, (size_t)count);
    for (int index = 1; index <= count; index++) {
        lua_Integer code = checked_integer(L, index);
        luaL_argcheck(L, code >= 0 && code <= 255, index, "value out of range");
        char byte = (char)code;
        buffer_add(&out, &byte, 1);
    }
    buffer_push(&out);
    return 1;
}

static int mapped(lua_State *L, int (*map)(int)) {
    size_t byte_count = 0;
    const char *bytes = checked_text(L, 1, &byte_count);
    text_buffer out;
    buffer_open(L, &out, byte_count);
    for (size_t at = 0; at < byte_count; at++) out.bytes[at] = (char)map((unsigned char)bytes[at]);
    out.used = byte_count;
    charge(L, (int64_t)(byte_count / BYTES_A_UNIT));
    buffer_push(&out);
    return 1;
}

static int text_lower(lua_State *L) { return mapped(L, tolower); }
static int text_upper(lua_State *L) { return mapped(L, toupper); }

static int text_len(lua_State *L) {
    size_t byte_count = 0;
    checked_string(L, 1, &byte_count);
    lua_pushinteger(L, (lua_Integer)byte_count);
    return 1;
}

static int text_reverse(lua_State *L) {
    size_t byte_count = 0;
    const char *bytes = checked_text(L, 1, &byte_count);
    text_buffer out;
    buffer_open(L, &out, byte_count);
    for (size_t at = 0; at < byte_count; at++) out.bytes[at] = bytes[byte_count - 1 - at];
    out.used = byte_count;
    buffer_push(&out);
    return 1;
}

static int text_rep(lua_State *L) {
    size_t byte_count = 0, gap_count = 0;
    const char *bytes = checked_string(L, 1, &byte_count);
    lua_Integer times = checked_integer(L, 2);
    const char *gap = optional_string(L, 3, "", &gap_count);
    size_t unit = byte_count + gap_count;
    if (times <= 0 || unit == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    if ((lua_Unsigned)times > (lua_Unsigned)sandbox_of(L)->limits.memory_bytes / unit)
        return fail_evaluation(L, MILLRACE_LUA_OVER_MEMORY);
    charge(L, times / 8 + (int64_t)((size_t)times * unit / BYTES_A_UNIT));
    text_buffer out;
    buffer_open(L, &out, unit * (size_t)times);
    for (lua_Integer turn = 1; turn <= times; turn++) {
        buffer_add(&out, bytes, byte_count);
        if (turn < times) buffer_add(&out, gap, gap_count);
    }
    buffer_push(&out);
    return 1;
}

// ---- plain searching

static int text_contains(lua_State *L) {
    size_t byte_count = 0, part_count = 0;
    const char *bytes = checked_text(L, 1, &byte_count);
    const char *part = checked_text(L, 2, &part_count);
    lua_pushboolean(L, memmem(bytes, byte_count, part, part_count) != NULL);
    return 1;
}

static int text_starts_with(lua_State *L) {
    size_t byte_count = 0, part_count = 0;
    const char *bytes = checked_string(L, 1, &byte_count);
    const char *part = checked_text(L, 2, &part_count);
    lua_pushboolean(L, part_count <= byte_count && memcmp(bytes, part, part_count) == 0);
    return 1;
}

static int text_ends_with(lua_State *L) {
    size_t byte_count = 0, part_count = 0;
    const char *bytes = checked_string(L, 1, &byte_count);
    const char *part = checked_text(L, 2, &part_count);
    lua_pushboolean(
        L, part_count <= byte_count && memcmp(bytes + byte_count - part_count, part, part_count) == 0);
    return 1;
}

// split(text, separator, limit): the pieces between plain separators, at most `limit` of them.
static int text_split(lua_State *L) {
    size_t byte_count = 0, gap_count = 0;
    const char *bytes = checked_text(L, 1, &byte_count);
    const char *gap = checked_text(L, 2, &gap_count);
    lua_Integer limit = optional_integer(L, 3, LUA_MAXINTEGER);
    luaL_argcheck(L, gap_count > 0, 2, "an empty separator");
    luaL_argcheck(L, limit > 0, 3, "a limit below 1");
    lua_newtable(L);
    lua_Integer pieces = 0;
    const char *end = bytes + byte_count;
    for (;;) {
        charge(L, 5);
        const char *found = pieces + 1 < limit ? memmem(bytes, (size_t)(end - bytes), gap, gap_count) : NULL;
        lua_pushlstring(L, bytes, (size_t)((found != NULL ? found : end) - bytes));
        lua_rawseti(L, -2, ++pieces);
        if (found == NULL) return 1;
        bytes = found + gap_count;
    }
}

static int is_space(char byte) { return isspace((unsigned char)byte); }

static int text_trim(lua_State *L) {
    size_t byte_count = 0;
    const char *bytes = checked_text(L, 1, &byte_count);
    const char *end = bytes + byte_count;
    while (bytes < end && is_space(*bytes)) bytes++;
    while (end > bytes && is_space(end[-1])) end--;
    lua_pushlstring(L, bytes, (size_t)(end - bytes));
    return 1;
}

// ---- format

typedef struct {
    // For snprintf: '%', flags, width, precision, a length modifier, the conversion.
    char text[24];
    char conversion;
    int has_modifiers;
} directive;

// The flags that a conversion accepts, as in Lua; NULL if there is no such conversion.
static const char *flags_of(char conversion) {
    switch (conversion) {
    case 'd':
    case 'i': return "-+0 ";
    case 'u': return "-0";
    case 'o':
    case 'x':
    case 'X': return "-#0";
    case 'c':
    case 's': return "-";
    case 'a':
    case 'A':
    case 'e':
    case 'E':
    case 'f':
    case 'g':
    case 'G': return "-+#0 ";
    default: return NULL;
    }
}

// Reads one directive after '%'; width and precision have at most two digits each.
static const char *read_directive(lua_State *L, const char *at, directive *out) {
    const char *start = at;
    at += strspn(at, "-+ #0");
    size_t flag_count = (size_t)(at - start);
    for (int digits = 0; digits < 2 && isdigit((unsigned char)*at); digits++) at++;
    int has_precision = *at == '.';
    if (has_precision) at++;
    for (int digits = 0; has_precision && digits < 2 && isdigit((unsigned char)*at); digits++) at++;
    const char *flags = *at == '\0' ? NULL : flags_of(*at);
    int length = (int)(at - start) < 20 ? (int)(at - start) + (*at != '\0') : 20;
    if (flags == NULL) luaL_error(L, "format: unknown directive '%%%s'", lua_pushlstring(L, start, (size_t)length));
    if (flag_count > 5 || strspn(start, flags) < flag_count || (*at == 'c' && has_precision))
        luaL_error(L, "format: '%%%s' is not allowed", lua_pushlstring(L, start, (size_t)length));
    out->has_modifiers = at > start;
    out->conversion = *at;
    size_t used = (size_t)(at - start);
    out->text[0] = '%';
    memcpy(out->text + 1, start, used++);
    if (strchr("diuoxX", *at) != NULL) {
        out->text[used++] = 'l';
        out->text[used++] = 'l';
    }
    out->text[used++] = *at;
    out->text[used] = '\0';
    return at + 1;
}

// Adds bytes padded to the width of a text directive, which accepts only the flag '-'.
static void add_padded(text_buffer *out, const directive *how, const char *bytes, size_t byte_count) {
    size_t flag_count = strspn(how->text + 1, "-");
    size_t width = (size_t)atoi(how->text + 1 + flag_count);
    size_t gap = width > byte_count ? width - byte_count : 0;
    for (size_t at = 0; at < gap && flag_count == 0; at++) buffer_add(out, " ", 1);
    buffer_add(out, bytes, byte_count);
    for (size_t at = 0; at < gap && flag_count > 0; at++) buffer_add(out, " ", 1);
}

static void add_text_argument(lua_State *L, text_buffer *out, const directive *how, int argument) {
    size_t byte_count = 0;
    const char *bytes = push_text(L, argument, &byte_count);
    charge(L, (int64_t)(byte_count / BYTES_A_UNIT));
    const char *point = strchr(how->text, '.');
    if (point != NULL && (size_t)atoi(point + 1) < byte_count) byte_count = (size_t)atoi(point + 1);
    add_padded(out, how, bytes, byte_count);
    // The text is above the buffer's slot and must be removed again.
    lua_pop(L, 1);
}

// Whether a finite float has more digits than are asked for.
static int is_rounded(lua_State *L, int index, int places) {
    if (!isfinite(lua_tonumber(L, index))) return 0;
    lua_pushvalue(L, index);
    make_text(L, lua_gettop(L));
    int is_rounded = has_more_places(lua_tostring(L, -1), places);
    lua_pop(L, 1);
    return is_rounded;
}

static void add_argument(lua_State *L, text_buffer *out, const directive *how, int argument) {
    luaL_checkany(L, argument);
    charge(L, 10);
    if (strchr("dif", how->conversion) != NULL) {
        if (lua_type(L, argument) == LUA_TSTRING && push_number_of_text(L, argument)) lua_replace(L, argument);
        // A float would lose digits of a large integer.
        int is_exact = how->conversion == 'f' && lua_type(L, argument) == LUA_TNUMBER
            && (lua_isinteger(L, argument) || is_rounded(L, argument, places_of(how->text)));
        if (is_decimal(L, argument) || is_exact) {
            add_decimal(out, how->text, how->conversion, argument);
            return;
        }
    }
    switch (how->conversion) {
    case 's': add_text_argument(L, out, how, argument); return;
    case 'c': {
        char byte = (char)checked_integer(L, argument);
        add_padded(out, how, &byte, 1);
        return;
    }
    case 'd':
    case 'i':
    case 'u':
    case 'o':
    case 'x':
    case 'X': {
        lua_Integer number = checked_integer(L, argument);
        out->used += (size_t)snprintf(buffer_reserve(out, 256), 256, how->text, (long long)number);
        return;
    }
    default: {
        // The longest: 99 decimals of a number with 309 digits.
        double number = checked_number(L, argument);
        charge(L, how->has_modifiers ? 400 : 50);
        out->used += (size_t)snprintf(buffer_reserve(out, 512), 512, how->text, number);
        return;
    }
    }
}

int text_format(lua_State *L) {
    size_t byte_count = 0;
    const char *at = checked_text(L, 1, &byte_count);
    const char *end = at + byte_count;
    int argument = 1;
    text_buffer out;
    int count = lua_gettop(L);
    buffer_open(L, &out, byte_count + 64);
    while (at < end) {
        const char *percent = memchr(at, '%', (size_t)(end - at));
        buffer_add(&out, at, (size_t)((percent != NULL ? percent : end) - at));
        if (percent == NULL) break;
        at = percent + 1;
        if (at < end && *at == '%') {
            buffer_add(&out, at++, 1);
            continue;
        }
        directive how;
        at = read_directive(L, at, &how);
        if (++argument > count) return luaL_error(L, "format: no value for directive %d", argument - 1);
        add_argument(L, &out, &how, argument);
    }
    buffer_push(&out);
    return 1;
}

void fill_strings(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"byte", text_byte},         {"char", text_char},
        {"sub", text_sub},           {"lower", text_lower},
        {"upper", text_upper},       {"len", text_len},
        {"reverse", text_reverse},   {"rep", text_rep},
        {"format", text_format},     {"contains", text_contains},
        {"starts_with", text_starts_with}, {"ends_with", text_ends_with},
        {"split", text_split},       {"trim", text_trim},
        {NULL, NULL},
    };
    add_functions(L, functions);
}
