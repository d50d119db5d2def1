#include "sandbox.h"

#include <stdlib.h>
#include <string.h>

// Decimals in string.format. A float would lose their digits, so they are rounded here, in their texts:
// half to even. So are floats in their shortest texts, since 2.675 is meant and not the float next to it.

#define DIGITS_MAX 1000
// More zeros than a number with that many digits can have.
#define POWER_MAX 4000000

typedef struct {
    int is_left, has_plus, has_space, has_zeros, has_point;
    size_t width;
    // -1 if the directive names none.
    int precision;
} layout;

static layout layout_of(const char *directive) {
    layout how = {0};
    const char *at = directive + 1;
    for (; *at != '\0' && strchr("-+ #0", *at) != NULL; at++) {
        how.is_left |= *at == '-';
        how.has_plus |= *at == '+';
        how.has_space |= *at == ' ';
        how.has_point |= *at == '#';
        how.has_zeros |= *at == '0';
    }
    char *end = NULL;
    how.width = strtoul(at, &end, 10);
    how.precision = *end == '.' ? (int)strtol(end + 1, NULL, 10) : -1;
    return how;
}

// Writes the digits of a number without a point and without zeros in front, and how many of them stand behind
// the point, which may be less than none. Returns their count, or -1 for too many.
static int read_digits(const char *text, char *digits, long *behind) {
    int count = 0, is_behind = 0;
    *behind = 0;
    for (; *text != '\0' && *text != 'e' && *text != 'E'; text++) {
        if (*text == '.') is_behind = 1;
        if (*text < '0' || *text > '9') continue;
        *behind += is_behind;
        if (count == 0 && *text == '0') continue;
        if (count == DIGITS_MAX) return -1;
        digits[count++] = *text;
    }
    long power = *text == '\0' ? 0 : strtol(text + 1, NULL, 10);
    if (power > POWER_MAX) power = POWER_MAX;
    if (power < -POWER_MAX) power = -POWER_MAX;
    *behind -= power;
    return count;
}

// Cuts or lengthens the digits until `places` stand behind the point. Returns their count, or -1 for too many.
static int round_digits(char *digits, int count, long behind, long places) {
    long more = places - behind;
    if (count == 0) return 0;
    if (more >= 0) {
        if (more > DIGITS_MAX - count) return -1;
        memset(digits + count, '0', (size_t)more);
        return count + (int)more;
    }
    if (count + more < 0) return 0;
    int kept = (int)(count + more), has_rest = 0;
    for (int at = kept + 1; at < count; at++) has_rest |= digits[at] != '0';
    int is_odd = kept > 0 && (digits[kept - 1] - '0') % 2 == 1;
    if (digits[kept] < '5' || (digits[kept] == '5' && !has_rest && !is_odd)) return kept;
    int at = kept - 1;
    while (at >= 0 && digits[at] == '9') digits[at--] = '0';
    if (at >= 0) {
        digits[at]++;
        return kept;
    }
    memmove(digits + 1, digits, (size_t)kept);
    digits[0] = '1';
    return kept + 1;
}

static int is_whole(const char *digits, int count, long behind) {
    if (count == 0 || behind <= 0) return 1;
    if (behind > count) return 0;
    for (long at = count - behind; at < count; at++)
        if (digits[at] != '0') return 0;
    return 1;
}

// Pushes the whole number next to a decimal: above it if `is_up`, else below. Returns 0 and pushes nothing for too many
// digits.
int push_whole_part(lua_State *L, const char *text, size_t byte_count, int is_up, int *has_fraction) {
    char digits[DIGITS_MAX + 2];
    long behind = 0;
    charge(L, 20 + (int64_t)(byte_count / 16));
    int count = read_digits(text, digits + 1, &behind);
    if (count < 0 || (count > 0 && -behind > DIGITS_MAX - count)) return 0;
    int is_negative = text[0] == '-', kept = behind > 0 ? (behind < count ? (int)(count - behind) : 0) : count;
    *has_fraction = 0;
    for (int at = kept; at < count; at++) *has_fraction |= digits[1 + at] != '0';
    for (; count > 0 && behind < 0; behind++) digits[1 + kept++] = '0';
    char *first = digits + 1;
    if (kept == 0) first[kept++] = '0';
    if (*has_fraction && is_up != is_negative) {
        int at = kept - 1;
        while (at >= 0 && first[at] == '9') first[at--] = '0';
        if (at >= 0) {
            first[at]++;
        } else {
            *--first = '1';
            kept++;
        }
    }
    int is_zero = kept == 1 && first[0] == '0';
    lua_pushfstring(L, is_negative && !is_zero ? "-%s" : "%s", "");
    lua_pushlstring(L, first, (size_t)kept);
    lua_concat(L, 2);
    int whole = lua_gettop(L);
    push_number_of_text(L, whole);
    lua_replace(L, whole);
    return 1;
}

// Whether a number written in its shortest form has more digits behind the point than that.
int has_more_places(const char *text, int places) {
    char digits[DIGITS_MAX + 2];
    long behind = 0;
    return read_digits(text, digits, &behind) > 0 && behind > places;
}

static void add_repeated(text_buffer *out, char byte, size_t count) {
    memset(buffer_reserve(out, count), byte, count);
    out->used += count;
}

static void add_digits(text_buffer *out, const layout *how, char sign, const char *digits, int count, int places) {
    int is_integer = places < 0;
    int least = !is_integer ? places + 1 : how->precision < 0 ? 1 : how->precision;
    int zeros = count < least ? least - count : 0;
    int has_point = places > 0 || (!is_integer && how->has_point);
    size_t used = (size_t)(zeros + count + has_point + (sign != '\0'));
    size_t gap = how->width > used ? how->width - used : 0;
    int fills_zeros = how->has_zeros && !how->is_left && !(is_integer && how->precision >= 0);
    if (!how->is_left && !fills_zeros) add_repeated(out, ' ', gap);
    if (sign != '\0') add_repeated(out, sign, 1);
    if (fills_zeros) add_repeated(out, '0', gap);
    int whole = zeros + count - (is_integer ? 0 : places);
    for (int at = 0; at < zeros + count; at++) {
        if (has_point && at == whole) add_repeated(out, '.', 1);
        add_repeated(out, at < zeros ? '0' : digits[at - zeros], 1);
    }
    if (has_point && places == 0) add_repeated(out, '.', 1);
    if (how->is_left) add_repeated(out, ' ', gap);
}

int places_of(const char *directive) {
    int precision = layout_of(directive).precision;
    return precision < 0 ? 6 : precision;
}

void add_decimal(text_buffer *out, const char *directive, char conversion, int argument) {
    lua_State *L = out->state;
    size_t byte_count = 0;
    make_text(L, argument);
    const char *text = lua_tolstring(L, argument, &byte_count);
    charge(L, 20 + (int64_t)(byte_count / 16));
    layout how = layout_of(directive);
    int places = conversion != 'f' ? -1 : places_of(directive);
    char digits[DIGITS_MAX + 2];
    long behind = 0;
    int count = read_digits(text, digits, &behind);
    if (count >= 0 && places < 0 && !is_whole(digits, count, behind))
        luaL_argerror(L, argument, "number has no integer representation");
    if (count >= 0) count = round_digits(digits, count, behind, places < 0 ? 0 : places);
    if (count < 0) luaL_error(L, "format: a number of more than %d digits", DIGITS_MAX);
    int is_negative = text[0] == '-' && (places >= 0 || count > 0);
    char sign = is_negative ? '-' : how.has_plus ? '+' : how.has_space ? ' ' : '\0';
    add_digits(out, &how, sign, digits, count, places);
}
