#include "sandbox.h"

#include <math.h>

// The table and math libraries.

static void check_own_table(lua_State *L, const char *function) {
    if (to_proxy(L, 1) != NULL) luaL_error(L, "%s: the run's own values cannot be changed", function);
    luaL_checktype(L, 1, LUA_TTABLE);
}

static lua_Integer readable_length(lua_State *L, const char *function) {
    if (lua_type(L, 1) != LUA_TTABLE && to_proxy(L, 1) == NULL)
        luaL_error(L, "%s needs a list, got %s", function, kind_name(L, 1));
    return luaL_len(L, 1);
}

static int table_concat(lua_State *L) {
    lua_Integer last = readable_length(L, "concat");
    size_t gap_count = 0;
    const char *gap = optional_string(L, 2, "", &gap_count);
    lua_Integer from = optional_integer(L, 3, 1);
    last = optional_integer(L, 4, last);
    lua_settop(L, 2);
    text_buffer out;
    buffer_open(L, &out, 64);
    for (lua_Integer position = from; position <= last; position++) {
        lua_geti(L, 1, position);
        if (!make_text(L, lua_gettop(L)))
            return luaL_error(L, "concat: item %d is a %s", (int)position, kind_name(L, -1));
        size_t byte_count = 0;
        const char *bytes = lua_tolstring(L, -1, &byte_count);
        charge(L, 3 + (int64_t)((byte_count + gap_count) / 32));
        buffer_add(&out, bytes, byte_count);
        lua_pop(L, 1);
        if (position == last) break;
        buffer_add(&out, gap, gap_count);
    }
    buffer_push(&out);
    return 1;
}

static int table_insert(lua_State *L) {
    check_own_table(L, "insert");
    lua_Integer end = (lua_Integer)lua_rawlen(L, 1) + 1, position = end;
    if (lua_gettop(L) == 3) {
        position = checked_integer(L, 2);
        luaL_argcheck(L, position >= 1 && position <= end, 2, "position out of bounds");
        charge(L, end - position);
        for (lua_Integer index = end; index > position; index--) {
            lua_rawgeti(L, 1, index - 1);
            lua_rawseti(L, 1, index);
        }
    } else if (lua_gettop(L) != 2) {
        return luaL_error(L, "wrong number of arguments to 'insert'");
    }
    lua_rawseti(L, 1, position);
    return 0;
}

static int table_remove(lua_State *L) {
    check_own_table(L, "remove");
    lua_Integer size = (lua_Integer)lua_rawlen(L, 1);
    lua_Integer position = optional_integer(L, 2, size);
    if (!lua_isnoneornil(L, 2))
        luaL_argcheck(L, position >= 0 && position <= size + 1 && (position > 0 || size == 0), 2,
            "position out of bounds");
    lua_rawgeti(L, 1, position);
    charge(L, size > position ? size - position : 1);
    for (; position < size; position++) {
        lua_rawgeti(L, 1, position + 1);
        lua_rawseti(L, 1, position);
    }
    if (position <= size) {
        lua_pushnil(L);
        lua_rawseti(L, 1, position);
    }
    return 1;
}

// ---- sort: a merge sort, which terminates for every order function

static int comes_before(lua_State *L, int left, int right) {
    charge(L, 5);
    if (lua_isnil(L, 2)) return is_less(L, left, right, 0);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, left);
    lua_pushvalue(L, right);
    lua_call(L, 2, 1);
    int is_before = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return is_before;
}

// Merges the runs [from, middle) and [middle, end) of the table at `source` into the table at `target`.
static void merge(
    lua_State *L, int source, int target, lua_Integer from, lua_Integer middle, lua_Integer end
) {
    lua_Integer left = from, right = middle;
    int base = lua_gettop(L);
    for (lua_Integer out = from; out < end; out++) {
        charge(L, 2);
        int takes_right = left >= middle;
        if (!takes_right && right < end) {
            lua_rawgeti(L, source, left);
            lua_rawgeti(L, source, right);
            takes_right = comes_before(L, base + 2, base + 1);
            lua_settop(L, base);
        }
        lua_rawgeti(L, source, takes_right ? right++ : left++);
        lua_rawseti(L, target, out);
    }
}

static int table_sort(lua_State *L) {
    check_own_table(L, "sort");
    lua_Integer size = (lua_Integer)lua_rawlen(L, 1);
    if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    luaL_argcheck(L, size < 1 << 24, 1, "list too long");
    lua_createtable(L, (int)size, 0);
    // Runs double in length and alternate between the list (1) and the copy (3).
    int source = 1, target = 3;
    for (lua_Integer run = 1; run < size; run *= 2) {
        for (lua_Integer from = 1; from <= size; from += 2 * run) {
            lua_Integer middle = from + run < size + 1 ? from + run : size + 1;
            lua_Integer end = from + 2 * run < size + 1 ? from + 2 * run : size + 1;
            merge(L, source, target, from, middle, end);
        }
        int swapped = source;
        source = target;
        target = swapped;
    }
    charge(L, size);
    for (lua_Integer position = 1; source == 3 && position <= size; position++) {
        lua_rawgeti(L, 3, position);
        lua_rawseti(L, 1, position);
    }
    return 0;
}

static int table_unpack(lua_State *L) {
    lua_Integer last = readable_length(L, "unpack");
    lua_Integer from = optional_integer(L, 2, 1);
    last = optional_integer(L, 3, last);
    if (from > last) return 0;
    lua_Unsigned count = (lua_Unsigned)last - (lua_Unsigned)from;
    if (count >= 1000) return luaL_error(L, "unpack: more than 1000 results");
    luaL_checkstack(L, (int)count + 1, "unpack: too many results");
    charge(L, (int64_t)count);
    for (lua_Unsigned offset = 0; offset <= count; offset++) lua_geti(L, 1, from + (lua_Integer)offset);
    return (int)count + 1;
}

void fill_tables(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"concat", table_concat}, {"insert", table_insert}, {"remove", table_remove},
        {"sort", table_sort},     {"unpack", table_unpack}, {NULL, NULL},
    };
    add_functions(L, functions);
}

// ---- math

static void push_whole(lua_State *L, lua_Number number) {
    lua_Integer whole = 0;
    if (lua_numbertointeger(number, &whole)) lua_pushinteger(L, whole);
    else lua_pushnumber(L, number);
}

// A number as it is, or that of a text; anything else is an error.
static void check_any_number(lua_State *L, int index) {
    if (lua_type(L, index) == LUA_TSTRING && push_number_of_text(L, index)) lua_replace(L, index);
    if (!is_decimal(L, index)) luaL_checktype(L, index, LUA_TNUMBER);
}

static int rounded(lua_State *L, int is_up) {
    check_any_number(L, 1);
    lua_settop(L, 1);
    if (lua_isinteger(L, 1)) return 1;
    size_t byte_count = 0;
    int has_fraction = 0;
    const char *text = decimal_text(L, 1, &byte_count);
    if (text == NULL || !push_whole_part(L, text, byte_count, is_up, &has_fraction))
        push_whole(L, is_up ? ceil(checked_number(L, 1)) : floor(checked_number(L, 1)));
    return 1;
}

static int math_floor(lua_State *L) { return rounded(L, 0); }
static int math_ceil(lua_State *L) { return rounded(L, 1); }

static int math_abs(lua_State *L) {
    if (lua_isinteger(L, 1)) {
        lua_Integer number = lua_tointeger(L, 1);
        if (number == LUA_MININTEGER) return luaL_error(L, "integer overflow: math.abs(%I) does not fit 64 bits", number);
        lua_pushinteger(L, number < 0 ? -number : number);
    } else {
        lua_pushnumber(L, fabs(checked_number(L, 1)));
    }
    return 1;
}

static int extreme(lua_State *L, int wants_greater) {
    int count = lua_gettop(L), best = 1;
    check_any_number(L, 1);
    charge(L, count);
    for (int index = 2; index <= count; index++) {
        check_any_number(L, index);
        if (wants_greater ? lua_compare(L, best, index, LUA_OPLT) : lua_compare(L, index, best, LUA_OPLT))
            best = index;
    }
    lua_pushvalue(L, best);
    return 1;
}

static int math_max(lua_State *L) { return extreme(L, 1); }
static int math_min(lua_State *L) { return extreme(L, 0); }

static int math_tointeger(lua_State *L) {
    int is_whole = 0;
    // Reading a number from a text goes through all of it.
    if (lua_type(L, 1) == LUA_TSTRING) charge(L, (int64_t)(lua_rawlen(L, 1) / 16));
    lua_Integer number = 0;
    if (is_decimal(L, 1)) is_whole = whole_of_decimal(L, 1, &number);
    else number = lua_tointegerx(L, 1, &is_whole);
    if (is_whole) lua_pushinteger(L, number);
    else lua_pushnil(L);
    return 1;
}

static int math_type(lua_State *L) {
    luaL_checkany(L, 1);
    if (is_decimal(L, 1)) lua_pushliteral(L, "decimal");
    else if (lua_type(L, 1) != LUA_TNUMBER) lua_pushnil(L);
    else lua_pushstring(L, lua_isinteger(L, 1) ? "integer" : "float");
    return 1;
}

static int math_fmod(lua_State *L) {
    if (lua_isinteger(L, 1) && lua_isinteger(L, 2)) {
        lua_Integer divisor = lua_tointeger(L, 2);
        luaL_argcheck(L, divisor != 0, 2, "zero");
        lua_pushinteger(L, divisor == -1 ? 0 : lua_tointeger(L, 1) % divisor);
    } else {
        refuse_inexact(L, 1);
        refuse_inexact(L, 2);
        lua_pushnumber(L, fmod(checked_number(L, 1), checked_number(L, 2)));
    }
    return 1;
}

void fill_math(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"floor", math_floor}, {"ceil", math_ceil}, {"abs", math_abs},   {"max", math_max},
        {"min", math_min},     {"type", math_type}, {"fmod", math_fmod}, {"tointeger", math_tointeger},
        {NULL, NULL},
    };
    add_functions(L, functions);
    lua_pushnumber(L, HUGE_VAL);
    lua_setfield(L, -2, "huge");
    lua_pushnumber(L, 3.14159265358979323846);
    lua_setfield(L, -2, "pi");
    lua_pushinteger(L, LUA_MAXINTEGER);
    lua_setfield(L, -2, "maxinteger");
    lua_pushinteger(L, LUA_MININTEGER);
    lua_setfield(L, -2, "mininteger");
}
