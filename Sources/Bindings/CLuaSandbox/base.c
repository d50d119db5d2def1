#include "sandbox.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

// The global functions, and arithmetic.

void add_functions(lua_State *L, const luaL_Reg *functions) { luaL_setfuncs(L, functions, 0); }

// ---- iteration

// Orders keys, because hashes differ between states: numbers, then texts by their bytes, then all others in no order.
static int key_rank(lua_State *L, int index) {
    switch (lua_type(L, index)) {
    case LUA_TNUMBER: return 0;
    case LUA_TSTRING: return 1;
    case LUA_TBOOLEAN: return 2;
    default: return is_decimal(L, index) ? 0 : 3;
    }
}

static int key_order(lua_State *L, int left, int right) {
    int left_rank = key_rank(L, left), right_rank = key_rank(L, right);
    if (left_rank != right_rank) return left_rank - right_rank;
    switch (left_rank) {
    case 0: return lua_compare(L, left, right, LUA_OPLT) ? -1 : lua_compare(L, right, left, LUA_OPLT);
    case 1: return compare_texts(L, left, right);
    case 2: return lua_toboolean(L, left) - lua_toboolean(L, right);
    default: return 0;
    }
}

// Sinks the key at `root` of a heap held in the table `keys`.
static void sink(lua_State *L, int keys, lua_Integer root, lua_Integer count) {
    for (;;) {
        lua_Integer child = root * 2;
        if (child > count) return;
        charge(L, 3);
        lua_rawgeti(L, keys, child);
        if (child < count) {
            lua_rawgeti(L, keys, child + 1);
            if (key_order(L, -2, -1) < 0) {
                child++;
                lua_remove(L, -2);
            } else {
                lua_pop(L, 1);
            }
        }
        lua_rawgeti(L, keys, root);
        if (key_order(L, -1, -2) >= 0) {
            lua_pop(L, 2);
            return;
        }
        lua_rawseti(L, keys, child);
        lua_rawseti(L, keys, root);
        root = child;
    }
}

// Pushes the keys of the table at `index` in order, as a table.
static void push_sorted_keys(lua_State *L, int index) {
    index = lua_absindex(L, index);
    lua_newtable(L);
    int keys = lua_gettop(L);
    lua_Integer count = 0;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_rawseti(L, keys, ++count);
        charge(L, 2);
    }
    for (lua_Integer root = count / 2; root >= 1; root--) sink(L, keys, root, count);
    for (lua_Integer last = count; last > 1; last--) {
        lua_rawgeti(L, keys, 1);
        lua_rawgeti(L, keys, last);
        lua_rawseti(L, keys, 1);
        lua_rawseti(L, keys, last);
        sink(L, keys, 1, last - 1);
    }
}

// Upvalues: the table, its keys, the number of keys returned so far.
static int table_step(lua_State *L) {
    lua_Integer position = lua_tointeger(L, lua_upvalueindex(3));
    charge(L, 2);
    for (;;) {
        position++;
        if (lua_rawgeti(L, lua_upvalueindex(2), position) == LUA_TNIL) return 1;
        lua_pushvalue(L, -1);
        // An entry removed during the iteration is skipped.
        if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) break;
        lua_pop(L, 2);
        charge(L, 1);
    }
    lua_pushinteger(L, position);
    lua_copy(L, -1, lua_upvalueindex(3));
    lua_pop(L, 1);
    return 2;
}

// Pushes key and value of the entry of a proxy at a position; returns 0 past the end.
static int push_entry(lua_State *L, int32_t node, lua_Integer position) {
    millrace_lua *lua = sandbox_of(L);
    if (position > lua->host.count(lua->context, node)) return 0;
    charge(L, 20);
    millrace_lua_value key = {0}, out = {0};
    begin_host_call(lua);
    if (lua->host.is_list(lua->context, node)) {
        key.kind = MILLRACE_LUA_INTEGER;
        key.integer = position;
        lua_pushinteger(L, position);
    } else {
        check_host(L, lua->host.name(lua->context, lua, node, position, &out), &out);
        push_value(L, &out);
        key.kind = MILLRACE_LUA_TEXT;
        key.bytes = (const uint8_t *)lua_tolstring(L, -1, &key.byte_count);
    }
    out = (millrace_lua_value){0};
    begin_host_call(lua);
    check_host(L, lua->host.member(lua->context, lua, node, &key, &out), &out);
    push_value(L, &out);
    return 1;
}

// Upvalues: the proxy, the last position returned.
static int proxy_step(lua_State *L) {
    proxy *face = lua_touserdata(L, lua_upvalueindex(1));
    lua_Integer position = lua_tointeger(L, lua_upvalueindex(2)) + 1;
    lua_pushinteger(L, position);
    lua_copy(L, -1, lua_upvalueindex(2));
    if (!push_entry(L, face->node, position)) lua_pushnil(L), lua_pushnil(L);
    return 2;
}

static int base_pairs(lua_State *L) {
    if (to_proxy(L, 1) != NULL) {
        lua_pushvalue(L, 1);
        lua_pushinteger(L, 0);
        lua_pushcclosure(L, proxy_step, 2);
        return 1;
    }
    if (lua_type(L, 1) != LUA_TTABLE)
        return luaL_error(L, "pairs needs a map or a list, got %s", kind_name(L, 1));
    lua_settop(L, 1);
    push_sorted_keys(L, 1);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, table_step, 3);
    return 1;
}

static int list_step(lua_State *L) {
    lua_Integer position = checked_integer(L, 2) + 1;
    charge(L, 2);
    proxy *face = to_proxy(L, 1);
    if (face != NULL) {
        if (push_entry(L, face->node, position)) return 2;
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, position);
    return lua_rawgeti(L, 1, position) == LUA_TNIL ? 1 : 2;
}

static int base_ipairs(lua_State *L) {
    proxy *face = to_proxy(L, 1);
    if (face == NULL && lua_type(L, 1) != LUA_TTABLE)
        return luaL_error(L, "ipairs needs a list, got %s", kind_name(L, 1));
    lua_settop(L, 1);
    millrace_lua *lua = sandbox_of(L);
    if (face != NULL && !lua->host.is_list(lua->context, face->node)) {
        // A map has no items.
        lua_newtable(L);
        lua_replace(L, 1);
    }
    lua_pushcfunction(L, list_step);
    lua_insert(L, 1);
    lua_pushinteger(L, 0);
    return 3;
}

static int next_of_proxy(lua_State *L, int32_t node) {
    lua_Integer position = 0;
    if (!lua_isnoneornil(L, 2)) {
        lua_settop(L, 2);
        // The position of the key is found by iterating, because next() is mostly used to test for an empty map.
        do {
            lua_settop(L, 2);
            if (!push_entry(L, node, ++position)) return luaL_error(L, "next: no such key");
        } while (!lua_rawequal(L, 2, 3));
    }
    if (push_entry(L, node, position + 1)) return 2;
    lua_pushnil(L);
    return 1;
}

static int base_next(lua_State *L) {
    proxy *face = to_proxy(L, 1);
    if (face != NULL) return next_of_proxy(L, face->node);
    if (lua_type(L, 1) != LUA_TTABLE)
        return luaL_error(L, "next needs a map or a list, got %s", kind_name(L, 1));
    lua_settop(L, 2);
    push_sorted_keys(L, 1);
    lua_Integer position = 1;
    if (!lua_isnil(L, 2)) {
        for (;; position++) {
            charge(L, 1);
            if (lua_rawgeti(L, 3, position) == LUA_TNIL) return luaL_error(L, "next: no such key");
            int is_found = lua_rawequal(L, 2, -1);
            lua_pop(L, 1);
            if (is_found) break;
        }
        position++;
    }
    if (lua_rawgeti(L, 3, position) == LUA_TNIL) return 1;
    lua_pushvalue(L, -1);
    lua_rawget(L, 1);
    return 2;
}

// ---- the rest

static int base_select(lua_State *L) {
    int count = lua_gettop(L) - 1;
    if (lua_type(L, 1) == LUA_TSTRING && strcmp(lua_tostring(L, 1), "#") == 0) {
        lua_pushinteger(L, count);
        return 1;
    }
    lua_Integer from = checked_integer(L, 1);
    if (from < 0) from = count + from + 1;
    luaL_argcheck(L, from >= 1, 1, "index out of range");
    return from > count ? 0 : count - (int)from + 1;
}

// Parses an integer in a base of 2 to 36; 0 if the text is none, -1 if it does not fit in 64 bits.
static int parse_based(const char *text, size_t byte_count, int base, lua_Integer *out) {
    size_t at = 0;
    while (at < byte_count && isspace((unsigned char)text[at])) at++;
    int is_negative = at < byte_count && text[at] == '-', is_over = 0;
    if (at < byte_count && (text[at] == '-' || text[at] == '+')) at++;
    size_t first = at;
    lua_Integer sum = 0;
    for (; at < byte_count && isalnum((unsigned char)text[at]); at++) {
        int letter = toupper((unsigned char)text[at]);
        int digit = isdigit(letter) ? letter - '0' : letter - 'A' + 10;
        if (digit >= base) return 0;
        is_over |= __builtin_mul_overflow(sum, (lua_Integer)base, &sum);
        is_over |= __builtin_add_overflow(sum, (lua_Integer)(is_negative ? -digit : digit), &sum);
    }
    if (at == first) return 0;
    while (at < byte_count && isspace((unsigned char)text[at])) at++;
    *out = sum;
    if (at != byte_count) return 0;
    return is_over ? -1 : 1;
}

static int base_tonumber(lua_State *L) {
    if (!lua_isnoneornil(L, 2)) {
        lua_Integer base = checked_integer(L, 2), number = 0;
        luaL_argcheck(L, base >= 2 && base <= 36, 2, "base out of range");
        luaL_checktype(L, 1, LUA_TSTRING);
        size_t byte_count = 0;
        const char *text = lua_tolstring(L, 1, &byte_count);
        charge(L, (int64_t)(byte_count / 16));
        int is_number = parse_based(text, byte_count, (int)base, &number);
        if (is_number < 0) return luaL_error(L, "the number %s does not fit 64 bits", text);
        if (is_number) lua_pushinteger(L, number);
        else lua_pushnil(L);
        return 1;
    }
    lua_settop(L, 1);
    if (lua_type(L, 1) == LUA_TNUMBER || is_decimal(L, 1)) return 1;
    if (lua_type(L, 1) == LUA_TSTRING && push_number_of_text(L, 1)) return 1;
    lua_pushnil(L);
    return 1;
}

const char *push_text(lua_State *L, int index, size_t *byte_count) {
    switch (lua_type(L, index)) {
    case LUA_TNUMBER:
    case LUA_TSTRING:
    case LUA_TUSERDATA:
        lua_pushvalue(L, index);
        if (!make_text(L, lua_gettop(L))) lua_pushstring(L, kind_name(L, index)), lua_remove(L, -2);
        break;
    case LUA_TBOOLEAN: lua_pushstring(L, lua_toboolean(L, index) ? "true" : "false"); break;
    case LUA_TNIL: lua_pushliteral(L, "nil"); break;
    default: lua_pushstring(L, kind_name(L, index)); break;
    }
    return lua_tolstring(L, -1, byte_count);
}

static int base_tostring(lua_State *L) {
    luaL_checkany(L, 1);
    push_text(L, 1, NULL);
    return 1;
}

static int base_type(lua_State *L) {
    luaL_checkany(L, 1);
    lua_pushstring(L, lua_type(L, 1) == LUA_TNIL ? "nil" : kind_name(L, 1));
    return 1;
}

// The message is the script's own and gets no position.
static int base_error(lua_State *L) {
    if (!make_text(L, 1)) lua_pushfstring(L, "an error that is a %s", kind_name(L, 1)), lua_replace(L, 1);
    lua_settop(L, 1);
    return lua_error(L);
}

static int base_assert(lua_State *L) {
    luaL_checkany(L, 1);
    if (lua_toboolean(L, 1)) return lua_gettop(L);
    if (lua_isnoneornil(L, 2)) return luaL_error(L, "assertion failed");
    lua_remove(L, 1);
    return base_error(L);
}

static int base_rawequal(lua_State *L) {
    luaL_checkany(L, 2);
    int is_exact = is_decimal(L, 1) || is_decimal(L, 2);
    lua_pushboolean(L, is_exact ? is_same(L, 1, 2) : lua_rawequal(L, 1, 2));
    return 1;
}

// The number of bytes of a text, items of a list or members of a map; 0 for null.
static int base_len(lua_State *L) {
    millrace_lua *lua = sandbox_of(L);
    proxy *face = to_proxy(L, 1);
    if (face != NULL) {
        lua_pushinteger(L, lua->host.count(lua->context, face->node));
    } else if (lua_type(L, 1) == LUA_TSTRING) {
        lua_pushinteger(L, (lua_Integer)lua_rawlen(L, 1));
    } else if (lua_type(L, 1) == LUA_TTABLE) {
        lua_Integer count = 0;
        lua_pushnil(L);
        while (lua_next(L, 1)) {
            count++;
            charge(L, 1);
            lua_pop(L, 1);
        }
        lua_pushinteger(L, count);
    } else if (lua_isnoneornil(L, 1)) {
        lua_pushinteger(L, 0);
    } else {
        return luaL_error(L, "len needs a text, a list or a map, got %s", kind_name(L, 1));
    }
    return 1;
}

static int base_rawlen(lua_State *L) {
    if (to_proxy(L, 1) != NULL) return base_len(L);
    int is_measurable = lua_type(L, 1) == LUA_TTABLE || lua_type(L, 1) == LUA_TSTRING;
    luaL_argcheck(L, is_measurable, 1, "table or string expected");
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, 1));
    return 1;
}

// Marks a table as a list, so that an empty one stays a list.
static int base_list(lua_State *L) {
    if (lua_isnoneornil(L, 1)) lua_settop(L, 0), lua_newtable(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, sandbox_of(L)->list_metatable);
    lua_setmetatable(L, 1);
    return 1;
}

// ---- `x in [a, b]`, rewritten to `x < __in(a, b)`

// The members are the user value of the right operand.
static int is_member(lua_State *L) {
    if (lua_type(L, 2) != LUA_TUSERDATA || lua_getiuservalue(L, 2, 1) != LUA_TTABLE)
        return luaL_error(L, "attempt to compare a list");
    lua_Integer count = *(lua_Integer *)lua_touserdata(L, 2);
    int is_found = 0;
    for (lua_Integer position = 1; position <= count && !is_found; position++) {
        charge(L, 2);
        lua_rawgeti(L, 3, position);
        is_found = is_same(L, 1, lua_gettop(L));
        lua_pop(L, 1);
    }
    lua_pushboolean(L, is_found);
    return 1;
}

// Upvalue: the metatable of sets.
static int make_set(lua_State *L) {
    int count = lua_gettop(L);
    lua_Integer *held = lua_newuserdatauv(L, sizeof *held, 1);
    *held = count;
    lua_createtable(L, count, 0);
    for (int index = 1; index <= count; index++) {
        lua_pushvalue(L, index);
        lua_rawseti(L, -2, index);
    }
    lua_setiuservalue(L, -2, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_setmetatable(L, -2);
    return 1;
}

void fill_globals(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"ipairs", base_ipairs},   {"next", base_next},         {"pairs", base_pairs},
        {"select", base_select},   {"tonumber", base_tonumber}, {"tostring", base_tostring},
        {"type", base_type},       {"assert", base_assert},     {"error", base_error},
        {"rawequal", base_rawequal}, {"rawlen", base_rawlen},   {"len", base_len},
        {"list", base_list},       {NULL, NULL},
    };
    add_functions(L, functions);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, is_member);
    lua_setfield(L, -2, "__lt");
    lua_pushcclosure(L, make_set, 1);
    lua_setfield(L, -2, "__in");
}

void make_string_metatable(lua_State *L) {
    // The table of methods is on top of the stack and is consumed.
    lua_createtable(L, 0, 10);
    lua_insert(L, -2);
    lua_setfield(L, -2, "__index");
    add_arithmetic(L);
    lua_pushliteral(L, "");
    lua_insert(L, -2);
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}
