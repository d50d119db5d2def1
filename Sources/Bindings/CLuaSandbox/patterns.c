#include "sandbox.h"

#include <ctype.h>
#include <string.h>

// Lua's patterns with our own matcher: the library's matcher does not count its work, and one short pattern can keep it
// busy for years.
//
// A pattern is parsed into items first, so that a malformed one is refused before any matching. Each step of the matcher
// charges the same budget as the virtual machine.

#define CAPTURES_MAX 32
#define DEPTH_MAX 180

enum item_kind {
    ITEM_SET,
    ITEM_OPEN,
    ITEM_CLOSE,
    ITEM_POSITION,
    ITEM_BACK,
    ITEM_BALANCE,
    ITEM_FRONTIER,
    ITEM_END,
};

typedef struct {
    uint8_t kind;
    // '\0' for once, or one of ? * + -.
    char repeat;
    // A capture's number, or the two bytes of a balance.
    uint8_t first, second;
    uint8_t set[32];
} item;

typedef struct {
    int count;
    int capture_count;
    int is_anchored;
    item items[];
} pattern;

typedef struct {
    const char *start;
    const char *end;
    int is_position;
} capture;

typedef struct {
    lua_State *state;
    const char *text, *text_end;
    const pattern *pattern;
    int depth;
    capture captures[CAPTURES_MAX];
} matcher;

// ---- reading a pattern

static void set_add(uint8_t *set, unsigned char byte) { set[byte >> 3] |= (uint8_t)(1u << (byte & 7)); }
static int set_has(const uint8_t *set, unsigned char byte) { return set[byte >> 3] >> (byte & 7) & 1; }

static void set_invert(uint8_t *set) {
    for (int index = 0; index < 32; index++) set[index] = (uint8_t)~set[index];
}

static int is_zero(int byte) { return byte == 0; }

// Adds the meaning of `%letter`: a class, its complement for a capital, or the byte itself.
static void set_add_class(uint8_t *set, unsigned char letter) {
    int (*belongs)(int) = NULL;
    switch (tolower(letter)) {
    case 'a': belongs = isalpha; break;
    case 'c': belongs = iscntrl; break;
    case 'd': belongs = isdigit; break;
    case 'g': belongs = isgraph; break;
    case 'l': belongs = islower; break;
    case 'p': belongs = ispunct; break;
    case 's': belongs = isspace; break;
    case 'u': belongs = isupper; break;
    case 'w': belongs = isalnum; break;
    case 'x': belongs = isxdigit; break;
    case 'z': belongs = is_zero; break;
    default: set_add(set, letter); return;
    }
    int wanted = islower(letter) != 0;
    for (int byte = 0; byte < 256; byte++)
        if ((belongs(byte) != 0) == wanted) set_add(set, (unsigned char)byte);
}

// Reads from after '[' to after ']'.
static const char *read_set(lua_State *L, const char *at, const char *end, uint8_t *set) {
    int is_inverted = at < end && *at == '^';
    if (is_inverted) at++;
    int is_first = 1;
    for (;; is_first = 0) {
        if (at >= end) luaL_error(L, "malformed pattern (missing ']')");
        unsigned char byte = (unsigned char)*at++;
        if (byte == ']' && !is_first) break;
        if (byte == '%') {
            if (at >= end) luaL_error(L, "malformed pattern (missing ']')");
            set_add_class(set, (unsigned char)*at++);
        } else if (at + 1 < end && *at == '-' && at[1] != ']') {
            for (int member = byte; member <= (unsigned char)at[1]; member++)
                set_add(set, (unsigned char)member);
            at += 2;
        } else {
            set_add(set, byte);
        }
    }
    if (is_inverted) set_invert(set);
    return at;
}

// Reads `%…` from the byte after the sign; returns NULL if it is a class, which may be repeated.
static const char *read_special(lua_State *L, const char *at, const char *end, item *out, int open_count) {
    if (*at == 'b') {
        if (end - at < 3) luaL_error(L, "malformed pattern (missing arguments to '%%b')");
        *out = (item){.kind = ITEM_BALANCE, .first = (uint8_t)at[1], .second = (uint8_t)at[2]};
        return at + 3;
    }
    if (*at == 'f') {
        if (at + 1 >= end || at[1] != '[') luaL_error(L, "missing '[' after '%%f' in pattern");
        out->kind = ITEM_FRONTIER;
        return read_set(L, at + 2, end, out->set);
    }
    if (isdigit((unsigned char)*at)) {
        int number = *at - '1';
        if (number < 0 || number >= open_count)
            luaL_error(L, "invalid capture index %%%d in pattern", number + 1);
        *out = (item){.kind = ITEM_BACK, .first = (uint8_t)number};
        return at + 1;
    }
    return NULL;
}

static const char *read_single(lua_State *L, const char *at, const char *end, item *out) {
    out->kind = ITEM_SET;
    unsigned char byte = (unsigned char)*at++;
    if (byte == '.') {
        memset(out->set, 0xFF, sizeof out->set);
    } else if (byte == '[') {
        at = read_set(L, at, end, out->set);
    } else if (byte == '%') {
        set_add_class(out->set, (unsigned char)*at++);
    } else {
        set_add(out->set, byte);
    }
    if (at < end && strchr("?*+-", *at) != NULL && *at != '\0') out->repeat = *at++;
    return at;
}

typedef struct {
    int open[CAPTURES_MAX];
    int open_count;
} parentheses;

// Reads '(' or ')' into an item; returns the number of bytes read.
static int read_parenthesis(lua_State *L, const char *at, const char *end, pattern *out, parentheses *marks) {
    item *next = &out->items[out->count];
    if (*at == ')') {
        if (marks->open_count == 0) luaL_error(L, "invalid pattern capture");
        *next = (item){.kind = ITEM_CLOSE, .first = (uint8_t)marks->open[--marks->open_count]};
        return 1;
    }
    if (out->capture_count >= CAPTURES_MAX) luaL_error(L, "too many captures");
    int is_position = at + 1 < end && at[1] == ')';
    next->kind = is_position ? ITEM_POSITION : ITEM_OPEN;
    next->first = (uint8_t)out->capture_count;
    if (!is_position) marks->open[marks->open_count++] = out->capture_count;
    out->capture_count++;
    return is_position ? 2 : 1;
}

// Pushes the pattern of the text at `index` as a userdata.
static pattern *push_pattern(lua_State *L, int index, int may_anchor) {
    size_t byte_count = 0;
    const char *at = checked_string(L, index, &byte_count);
    const char *end = at + byte_count;
    if (byte_count > PATTERN_BYTES_MAX) luaL_error(L, "pattern longer than %d bytes", PATTERN_BYTES_MAX);
    charge(L, 5 + 4 * (int64_t)byte_count);
    pattern *out = lua_newuserdatauv(L, sizeof *out + (byte_count + 1) * sizeof(item), 0);
    *out = (pattern){0};
    if (may_anchor && at < end && *at == '^') {
        out->is_anchored = 1;
        at++;
    }
    parentheses marks = {{0}, 0};
    while (at < end) {
        item *next = &out->items[out->count];
        *next = (item){0};
        if (*at == '(' || *at == ')') {
            at += read_parenthesis(L, at, end, out, &marks);
        } else if (*at == '$' && at + 1 == end) {
            next->kind = ITEM_END;
            at++;
        } else if (*at == '%') {
            if (at + 1 >= end) luaL_error(L, "malformed pattern (ends with '%%')");
            const char *after = read_special(L, at + 1, end, next, out->capture_count);
            at = after != NULL ? after : read_single(L, at, end, next);
        } else {
            at = read_single(L, at, end, next);
        }
        out->count++;
    }
    if (marks.open_count > 0) luaL_error(L, "unfinished capture");
    return out;
}

// ---- matching

static const char *match_from(matcher *m, const char *at, int index);

static const char *match_balance(matcher *m, const char *at, const item *what) {
    if (at >= m->text_end || (uint8_t)*at != what->first) return NULL;
    int64_t level = 1;
    for (const char *here = at + 1; here < m->text_end; here++) {
        charge(m->state, 1);
        if ((uint8_t)*here == what->second) {
            if (--level == 0) return here + 1;
        } else if ((uint8_t)*here == what->first) {
            level++;
        }
    }
    return NULL;
}

static const char *match_back(matcher *m, const char *at, int number) {
    const capture *earlier = &m->captures[number];
    if (earlier->end == NULL) luaL_error(m->state, "invalid capture index %%%d in pattern", number + 1);
    size_t byte_count = (size_t)(earlier->end - earlier->start);
    charge(m->state, (int64_t)(byte_count / 16));
    if ((size_t)(m->text_end - at) < byte_count || memcmp(earlier->start, at, byte_count) != 0) return NULL;
    return at + byte_count;
}

static int matches_once(const matcher *m, const char *at, const item *what) {
    return at < m->text_end && set_has(what->set, (unsigned char)*at);
}

// Takes as many as possible, then fewer until the rest matches.
static const char *match_longest(matcher *m, const char *at, int index, int64_t least) {
    const item *what = &m->pattern->items[index];
    int64_t count = 0;
    while (matches_once(m, at + count, what)) {
        count++;
        charge(m->state, 1);
    }
    for (; count >= least; count--) {
        const char *end = match_from(m, at + count, index + 1);
        if (end != NULL) return end;
    }
    return NULL;
}

// Takes as few as possible.
static const char *match_shortest(matcher *m, const char *at, int index) {
    const item *what = &m->pattern->items[index];
    for (;; at++) {
        const char *end = match_from(m, at, index + 1);
        if (end != NULL) return end;
        if (!matches_once(m, at, what)) return NULL;
        charge(m->state, 1);
    }
}

static const char *match_capture(matcher *m, const char *at, int index) {
    const item *what = &m->pattern->items[index];
    capture *mine = &m->captures[what->first];
    capture before = *mine;
    if (what->kind == ITEM_CLOSE) mine->end = at;
    else *mine = (capture){at, what->kind == ITEM_POSITION ? at : NULL, what->kind == ITEM_POSITION};
    const char *end = match_from(m, at, index + 1);
    if (end == NULL) *mine = before;
    return end;
}

static int is_frontier(const matcher *m, const char *at, const item *what) {
    unsigned char before = at == m->text ? 0 : (unsigned char)at[-1];
    unsigned char here = at < m->text_end ? (unsigned char)*at : 0;
    return !set_has(what->set, before) && set_has(what->set, here);
}

// The end of a match of the items from `index` on, or NULL.
static const char *match_items(matcher *m, const char *at, int index) {
    for (; index < m->pattern->count; index++) {
        const item *what = &m->pattern->items[index];
        charge(m->state, 1);
        switch (what->kind) {
        case ITEM_OPEN:
        case ITEM_CLOSE:
        case ITEM_POSITION: return match_capture(m, at, index);
        case ITEM_END:
            if (at != m->text_end) return NULL;
            break;
        case ITEM_FRONTIER:
            if (!is_frontier(m, at, what)) return NULL;
            break;
        case ITEM_BALANCE:
            if ((at = match_balance(m, at, what)) == NULL) return NULL;
            break;
        case ITEM_BACK:
            if ((at = match_back(m, at, what->first)) == NULL) return NULL;
            break;
        default:
            switch (what->repeat) {
            case '*': return match_longest(m, at, index, 0);
            case '+': return match_longest(m, at, index, 1);
            case '-': return match_shortest(m, at, index);
            case '?':
                if (matches_once(m, at, what)) {
                    const char *end = match_from(m, at + 1, index + 1);
                    if (end != NULL) return end;
                }
                break;
            default:
                if (!matches_once(m, at, what)) return NULL;
                at++;
            }
        }
    }
    return at;
}

static const char *match_from(matcher *m, const char *at, int index) {
    if (++m->depth > DEPTH_MAX) luaL_error(m->state, "pattern too complex");
    const char *end = match_items(m, at, index);
    m->depth--;
    return end;
}

static const char *match_at(matcher *m, const char *at) {
    m->depth = 0;
    memset(m->captures, 0, sizeof(capture) * (size_t)m->pattern->capture_count);
    return match_from(m, at, 0);
}

static void push_capture(const matcher *m, int number) {
    const capture *found = &m->captures[number];
    if (found->is_position) {
        lua_pushinteger(m->state, found->start - m->text + 1);
    } else {
        charge(m->state, 2 + (found->end - found->start) / 32);
        lua_pushlstring(m->state, found->start, (size_t)(found->end - found->start));
    }
}

// Pushes the captures, or the whole match if there are none and it is requested.
static int push_captures(const matcher *m, const char *start, const char *end, int whole_if_none) {
    if (m->pattern->capture_count == 0 && whole_if_none) {
        charge(m->state, 2 + (end - start) / 32);
        lua_pushlstring(m->state, start, (size_t)(end - start));
        return 1;
    }
    luaL_checkstack(m->state, CAPTURES_MAX, "too many captures");
    for (int number = 0; number < m->pattern->capture_count; number++) push_capture(m, number);
    return m->pattern->capture_count;
}

// ---- functions

// The offset at which a search begins, or -1 if it is past the end.
static lua_Integer search_start(lua_State *L, int argument, size_t byte_count) {
    lua_Integer from = optional_integer(L, argument, 1);
    if (from < 0) from = from < -(lua_Integer)byte_count ? 1 : (lua_Integer)byte_count + from + 1;
    if (from == 0) from = 1;
    return from > (lua_Integer)byte_count + 1 ? -1 : from - 1;
}

static int find_plain(lua_State *L, const char *text, size_t byte_count, lua_Integer from) {
    size_t part_count = 0;
    const char *part = checked_string(L, 2, &part_count);
    charge(L, (int64_t)((byte_count + part_count) / 32));
    const char *found = memmem(text + from, byte_count - (size_t)from, part, part_count);
    if (found == NULL) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, found - text + 1);
    lua_pushinteger(L, found - text + (lua_Integer)part_count);
    return 2;
}

static int search(lua_State *L, int is_find) {
    size_t byte_count = 0;
    const char *text = checked_string(L, 1, &byte_count);
    luaL_checkstring(L, 2);
    lua_Integer from = search_start(L, 3, byte_count);
    if (from < 0) {
        lua_pushnil(L);
        return 1;
    }
    if (is_find && lua_toboolean(L, 4)) return find_plain(L, text, byte_count, from);
    matcher m = {.state = L, .text = text, .text_end = text + byte_count};
    m.pattern = push_pattern(L, 2, 1);
    for (const char *at = text + from; at <= m.text_end; at++) {
        const char *end = match_at(&m, at);
        if (end != NULL) {
            if (!is_find) return push_captures(&m, at, end, 1);
            lua_pushinteger(L, at - text + 1);
            lua_pushinteger(L, end - text);
            return 2 + push_captures(&m, at, end, 0);
        }
        if (m.pattern->is_anchored) break;
    }
    lua_pushnil(L);
    return 1;
}

static int pattern_find(lua_State *L) { return search(L, 1); }
static int pattern_match(lua_State *L) { return search(L, 0); }

// Upvalues: text, pattern, offset of the next attempt, end of the last match (-1 for none).
static int gmatch_step(lua_State *L) {
    size_t byte_count = 0;
    const char *text = lua_tolstring(L, lua_upvalueindex(1), &byte_count);
    lua_Integer last = lua_tointeger(L, lua_upvalueindex(4));
    matcher m = {.state = L, .text = text, .text_end = text + byte_count};
    m.pattern = lua_touserdata(L, lua_upvalueindex(2));
    for (lua_Integer from = lua_tointeger(L, lua_upvalueindex(3)); from <= (lua_Integer)byte_count; from++) {
        const char *end = match_at(&m, text + from);
        if (end == NULL || end - text == last) continue;
        lua_pushinteger(L, end - text);
        lua_copy(L, -1, lua_upvalueindex(3));
        lua_copy(L, -1, lua_upvalueindex(4));
        return push_captures(&m, text + from, end, 1);
    }
    lua_pushinteger(L, (lua_Integer)byte_count + 1);
    lua_copy(L, -1, lua_upvalueindex(3));
    return 0;
}

static int pattern_gmatch(lua_State *L) {
    size_t byte_count = 0;
    checked_string(L, 1, &byte_count);
    lua_Integer from = search_start(L, 3, byte_count);
    lua_pushvalue(L, 1);
    push_pattern(L, 2, 0);
    lua_pushinteger(L, from < 0 ? (lua_Integer)byte_count + 1 : from);
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, gmatch_step, 4);
    return 1;
}

// Adds a replacement text, with captures for %0 to %9.
static void add_template(const matcher *m, text_buffer *out, const char *start, const char *end) {
    size_t byte_count = 0;
    const char *at = lua_tolstring(m->state, 3, &byte_count);
    const char *stop = at + byte_count;
    charge(m->state, (int64_t)(byte_count / 8));
    for (; at < stop; at++) {
        if (*at != '%') {
            buffer_add(out, at, 1);
            continue;
        }
        if (++at >= stop || !(isdigit((unsigned char)*at) || *at == '%'))
            luaL_error(m->state, "invalid use of '%%' in replacement text");
        if (*at == '%') {
            buffer_add(out, at, 1);
        } else if (*at == '0' || (*at == '1' && m->pattern->capture_count == 0)) {
            charge(m->state, (end - start) / 32);
            buffer_add(out, start, (size_t)(end - start));
        } else {
            int number = *at - '1';
            if (number >= m->pattern->capture_count)
                luaL_error(m->state, "invalid capture index %%%d in replacement text", number + 1);
            push_capture(m, number);
            size_t part_count = 0;
            const char *part = lua_tolstring(m->state, -1, &part_count);
            buffer_add(out, part, part_count);
            lua_pop(m->state, 1);
        }
    }
}

static void add_replacement(const matcher *m, text_buffer *out, const char *start, const char *end) {
    lua_State *L = m->state;
    switch (lua_type(L, 3)) {
    case LUA_TFUNCTION:
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(m, start, end, 1), 1);
        break;
    case LUA_TTABLE:
    case LUA_TUSERDATA:
        if (m->pattern->capture_count == 0) lua_pushlstring(L, start, (size_t)(end - start));
        else push_capture(m, 0);
        lua_gettable(L, 3);
        break;
    default: add_template(m, out, start, end); return;
    }
    if (!lua_toboolean(L, -1)) {
        buffer_add(out, start, (size_t)(end - start));
    } else if (make_text(L, lua_gettop(L))) {
        size_t byte_count = 0;
        const char *bytes = lua_tolstring(L, -1, &byte_count);
        charge(L, (int64_t)(byte_count / 32));
        buffer_add(out, bytes, byte_count);
    } else {
        luaL_error(L, "invalid replacement value (a %s)", kind_name(L, -1));
    }
    lua_pop(L, 1);
}

static int pattern_gsub(lua_State *L) {
    size_t byte_count = 0;
    const char *text = checked_string(L, 1, &byte_count);
    int kind = lua_type(L, 3);
    luaL_argcheck(
        L, kind == LUA_TSTRING || kind == LUA_TNUMBER || kind == LUA_TFUNCTION || kind == LUA_TTABLE ||
            is_decimal(L, 3) || to_proxy(L, 3) != NULL, 3, "text, function or table expected");
    make_text(L, 3);
    lua_Integer most = optional_integer(L, 4, (lua_Integer)byte_count + 1);
    lua_settop(L, 3);
    matcher m = {.state = L, .text = text, .text_end = text + byte_count};
    m.pattern = push_pattern(L, 2, 1);
    text_buffer out;
    buffer_open(L, &out, byte_count);
    lua_Integer count = 0;
    const char *at = text, *last = NULL;
    while (count < most) {
        const char *end = match_at(&m, at);
        if (end != NULL && end != last) {
            count++;
            add_replacement(&m, &out, at, end);
            at = last = end;
        } else if (at < m.text_end) {
            buffer_add(&out, at++, 1);
        } else {
            break;
        }
        if (m.pattern->is_anchored) break;
    }
    buffer_add(&out, at, (size_t)(m.text_end - at));
    buffer_push(&out);
    lua_pushinteger(L, count);
    return 2;
}

void fill_patterns(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"find", pattern_find}, {"match", pattern_match}, {"gmatch", pattern_gmatch},
        {"gsub", pattern_gsub}, {NULL, NULL},
    };
    add_functions(L, functions);
}
