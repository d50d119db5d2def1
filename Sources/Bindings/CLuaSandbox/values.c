#include "sandbox.h"

#include <stdlib.h>
#include <string.h>

// Values passed between Lua and the host.
//
// Lua sees a container of the host through a proxy, a userdata that holds only its index. A Lua table is serialised to a
// tape, with unaligned numbers in the machine's byte order:
//   'z' null, 't', 'f', 'i' int64, 'd' double, 'n' length32 bytes (a decimal), 's' length32 bytes, 'p' node32,
//   'a' count32 items, 'o' count32 (length32 bytes item)...

const char null_marker = 0;

// ---- into Lua

void begin_host_call(millrace_lua *lua) {
    // A large buffer is freed, so that a pooled state stays small.
    if (lua->scratch_capacity > 65536) {
        free(lua->scratch);
        lua->scratch = NULL;
        lua->scratch_capacity = 0;
    }
    lua->scratch_used = 0;
}

static int make_room(uint8_t **block, size_t used, size_t *capacity, size_t extra) {
    if (extra <= *capacity - used) return 1;
    if (extra > SIZE_MAX / 4) return 0;
    size_t wanted = *capacity * 2 > used + extra ? *capacity * 2 : used + extra + 256;
    uint8_t *moved = realloc(*block, wanted);
    if (moved == NULL) return 0;
    *block = moved;
    *capacity = wanted;
    return 1;
}

void millrace_lua_put(
    millrace_lua *lua, millrace_lua_value *out, const uint8_t *bytes, size_t byte_count
) {
    // A text that exceeds Lua's memory is not copied; pushing it fails.
    out->kind = MILLRACE_LUA_TEXT;
    out->integer = (int64_t)lua->scratch_used;
    out->byte_count = byte_count;
    if ((int64_t)byte_count > lua->limits.memory_bytes) return;
    if (!make_room(&lua->scratch, lua->scratch_used, &lua->scratch_capacity, byte_count)) {
        out->byte_count = SIZE_MAX / 4;
        return;
    }
    if (byte_count > 0) memcpy(lua->scratch + lua->scratch_used, bytes, byte_count);
    lua->scratch_used += byte_count;
}

void millrace_lua_put_decimal(
    millrace_lua *lua, millrace_lua_value *out, const uint8_t *bytes, size_t byte_count
) {
    millrace_lua_put(lua, out, bytes, byte_count);
    out->kind = MILLRACE_LUA_DECIMAL;
}

// The text written by the host; raises if it exceeds Lua's memory.
static const char *host_text(lua_State *L, const millrace_lua_value *value) {
    millrace_lua *lua = sandbox_of(L);
    if ((int64_t)value->byte_count > lua->limits.memory_bytes) fail_evaluation(L, MILLRACE_LUA_OVER_MEMORY);
    charge(L, (int64_t)(value->byte_count / 64));
    return value->byte_count == 0 ? "" : (const char *)lua->scratch + value->integer;
}

static void push_host_text(lua_State *L, const millrace_lua_value *value) {
    lua_pushlstring(L, host_text(L, value), value->byte_count);
}

void push_node(lua_State *L, int32_t node) {
    proxy *face = lua_newuserdatauv(L, sizeof *face, 0);
    face->node = node;
    lua_rawgeti(L, LUA_REGISTRYINDEX, sandbox_of(L)->proxy_metatable);
    lua_setmetatable(L, -2);
}

void push_value(lua_State *L, const millrace_lua_value *value) {
    switch (value->kind) {
    case MILLRACE_LUA_FALSE: lua_pushboolean(L, 0); break;
    case MILLRACE_LUA_TRUE: lua_pushboolean(L, 1); break;
    case MILLRACE_LUA_INTEGER: lua_pushinteger(L, value->integer); break;
    case MILLRACE_LUA_FLOAT: lua_pushnumber(L, value->number); break;
    case MILLRACE_LUA_TEXT: push_host_text(L, value); break;
    case MILLRACE_LUA_NODE: push_node(L, value->node); break;
    case MILLRACE_LUA_DECIMAL: push_decimal(L, host_text(L, value), value->byte_count); break;
    default: lua_pushnil(L); break;
    }
}

void check_host(lua_State *L, int32_t code, const millrace_lua_value *out) {
    switch (code) {
    case MILLRACE_LUA_OK:
    case MILLRACE_LUA_ABSENT: return;
    case MILLRACE_LUA_RAISED:
        luaL_where(L, 1);
        push_host_text(L, out);
        lua_concat(L, 2);
        lua_error(L);
        return;
    default: fail_evaluation(L, code);
    }
}

// ---- proxies

proxy *to_proxy(lua_State *L, int index) {
    if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return NULL;
    lua_rawgeti(L, LUA_REGISTRYINDEX, sandbox_of(L)->proxy_metatable);
    int is_proxy = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return is_proxy ? lua_touserdata(L, index) : NULL;
}

// Only this library sets the metatable, and metamethods are called with a proxy first except __eq.
static int proxy_index(lua_State *L) {
    proxy *face = lua_touserdata(L, 1);
    millrace_lua *lua = sandbox_of(L);
    millrace_lua_value key = {0}, out = {0};
    int is_whole = 0;
    switch (lua_type(L, 2)) {
    case LUA_TSTRING:
        key.kind = MILLRACE_LUA_TEXT;
        key.bytes = (const uint8_t *)lua_tolstring(L, 2, &key.byte_count);
        break;
    case LUA_TNUMBER:
        key.kind = MILLRACE_LUA_INTEGER;
        key.integer = lua_tointegerx(L, 2, &is_whole);
        if (is_whole) break;
        lua_pushnil(L);
        return 1;
    default:
        // A number such as 2.0 from JSON.
        key.kind = MILLRACE_LUA_INTEGER;
        lua_Integer whole = 0;
        if (is_decimal(L, 2) && whole_of_decimal(L, 2, &whole)) {
            key.integer = whole;
            break;
        }
        lua_pushnil(L);
        return 1;
    }
    charge(L, 10);
    begin_host_call(lua);
    check_host(L, lua->host.member(lua->context, lua, face->node, &key, &out), &out);
    push_value(L, &out);
    return 1;
}

static int proxy_write(lua_State *L) {
    return luaL_error(L, "the run's own values cannot be changed: copy what you need into a new table");
}

static int proxy_length(lua_State *L) {
    proxy *face = lua_touserdata(L, 1);
    millrace_lua *lua = sandbox_of(L);
    lua_pushinteger(L, lua->host.count(lua->context, face->node));
    return 1;
}

static int proxy_equal(lua_State *L) {
    proxy *left = to_proxy(L, 1), *right = to_proxy(L, 2);
    millrace_lua *lua = sandbox_of(L);
    int same = left != NULL && right != NULL;
    if (same) same = lua->host.equal(lua->context, lua, left->node, right->node);
    charge(L, 5);
    lua_pushboolean(L, same);
    return 1;
}

void make_proxy_metatable(lua_State *L) {
    lua_newtable(L);
    static const luaL_Reg methods[] = {
        {"__index", proxy_index}, {"__newindex", proxy_write}, {"__len", proxy_length},
        {"__eq", proxy_equal},    {NULL, NULL},
    };
    luaL_setfuncs(L, methods, 0);
    // The name in Lua's own messages.
    lua_pushliteral(L, "table");
    lua_setfield(L, -2, "__name");
    sandbox_of(L)->proxy_metatable = luaL_ref(L, LUA_REGISTRYINDEX);
}

const char *kind_name(lua_State *L, int index) {
    switch (lua_type(L, index)) {
    case LUA_TNONE:
    case LUA_TNIL:
    case LUA_TLIGHTUSERDATA: return "null";
    case LUA_TUSERDATA:
        if (to_proxy(L, index) != NULL) return "table";
        return is_decimal(L, index) ? "number" : "library";
    default: return luaL_typename(L, index);
    }
}

// ---- out of Lua

static void tape_add(lua_State *L, const void *bytes, size_t byte_count) {
    millrace_lua *lua = sandbox_of(L);
    if ((int64_t)(lua->tape_used + byte_count) > lua->limits.memory_bytes ||
        !make_room(&lua->tape, lua->tape_used, &lua->tape_capacity, byte_count)) {
        fail_evaluation(L, MILLRACE_LUA_OVER_MEMORY);
    }
    memcpy(lua->tape + lua->tape_used, bytes, byte_count);
    lua->tape_used += byte_count;
}

static void tape_add_tag(lua_State *L, char tag) { tape_add(L, &tag, 1); }

static void tape_add_bytes(lua_State *L, const void *bytes, size_t byte_count) {
    if (byte_count > INT32_MAX) fail_evaluation(L, MILLRACE_LUA_OVER_MEMORY);
    uint32_t prefix = (uint32_t)byte_count;
    tape_add(L, &prefix, sizeof prefix);
    tape_add(L, bytes, byte_count);
}

static void tape_add_text(lua_State *L, int index) {
    size_t byte_count = 0;
    const char *bytes = lua_tolstring(L, index, &byte_count);
    tape_add_bytes(L, bytes, byte_count);
}

enum shape { SHAPE_LIST, SHAPE_MAP };

// Whether a table is a list (keys 1 to n) or a map (text keys); raises for anything else. An empty table is a map unless
// list() made it.
static enum shape shape_of(lua_State *L, int table, uint32_t *count_out) {
    lua_Integer count = 0, highest = 0;
    int has_text = 0;
    lua_pushnil(L);
    while (lua_next(L, table)) {
        lua_pop(L, 1);
        count++;
        charge(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING) {
            has_text = 1;
        } else if (lua_isinteger(L, -1) && lua_tointeger(L, -1) > 0) {
            if (lua_tointeger(L, -1) > highest) highest = lua_tointeger(L, -1);
        } else {
            luaL_error(L, "a table whose keys are neither texts nor 1, 2, 3 ...");
        }
    }
    if (count > sandbox_of(L)->limits.nodes_max) luaL_error(L, "a table with too many entries");
    if (has_text && highest > 0) luaL_error(L, "a table that is a list and a map at once");
    if (highest > count) luaL_error(L, "a list with gaps: use json.null for an explicit null");
    int is_marked = lua_getmetatable(L, table);
    if (is_marked) lua_pop(L, 1);
    if (is_marked && has_text) luaL_error(L, "a list with text keys");
    *count_out = (uint32_t)count;
    return highest > 0 || is_marked ? SHAPE_LIST : SHAPE_MAP;
}

static void tape_add_value(lua_State *L, int index, int depth, const void **path);

static void tape_add_table(lua_State *L, int table, int depth, const void **path) {
    millrace_lua *lua = sandbox_of(L);
    const void *identity = lua_topointer(L, table);
    for (int level = 0; level < depth; level++)
        if (path[level] == identity) luaL_error(L, "a table that contains itself");
    if (depth >= lua->limits.depth_max)
        luaL_error(L, "tables nested deeper than %d levels", lua->limits.depth_max);
    path[depth] = identity;
    luaL_checkstack(L, 8, "nested too deep");
    uint32_t count = 0;
    enum shape shape = shape_of(L, table, &count);
    tape_add_tag(L, shape == SHAPE_LIST ? 'a' : 'o');
    tape_add(L, &count, sizeof count);
    if (shape == SHAPE_LIST) {
        for (uint32_t position = 1; position <= count; position++) {
            lua_rawgeti(L, table, position);
            tape_add_value(L, lua_gettop(L), depth + 1, path);
            lua_pop(L, 1);
        }
        return;
    }
    lua_pushnil(L);
    while (lua_next(L, table)) {
        tape_add_text(L, -2);
        tape_add_value(L, lua_gettop(L), depth + 1, path);
        lua_pop(L, 1);
    }
}

static void tape_add_value(lua_State *L, int index, int depth, const void **path) {
    millrace_lua *lua = sandbox_of(L);
    if (++lua->tape_nodes > lua->limits.nodes_max)
        luaL_error(L, "more than %d values in one", lua->limits.nodes_max);
    charge(L, 2);
    millrace_lua_value scalar = {0};
    if (lua_type(L, index) == LUA_TTABLE) {
        tape_add_table(L, index, depth, path);
        return;
    }
    read_value(L, index, &scalar);
    switch (scalar.kind) {
    case MILLRACE_LUA_TRUE: tape_add_tag(L, 't'); break;
    case MILLRACE_LUA_FALSE: tape_add_tag(L, 'f'); break;
    case MILLRACE_LUA_INTEGER:
        tape_add_tag(L, 'i');
        tape_add(L, &scalar.integer, sizeof scalar.integer);
        break;
    case MILLRACE_LUA_FLOAT:
        tape_add_tag(L, 'd');
        tape_add(L, &scalar.number, sizeof scalar.number);
        break;
    case MILLRACE_LUA_TEXT:
        tape_add_tag(L, 's');
        tape_add_text(L, index);
        break;
    case MILLRACE_LUA_DECIMAL:
        tape_add_tag(L, 'n');
        tape_add_bytes(L, scalar.bytes, scalar.byte_count);
        break;
    case MILLRACE_LUA_NODE:
        tape_add_tag(L, 'p');
        tape_add(L, &scalar.node, sizeof scalar.node);
        break;
    default: tape_add_tag(L, 'z'); break;
    }
}

void read_value(lua_State *L, int index, millrace_lua_value *out) {
    index = lua_absindex(L, index);
    *out = (millrace_lua_value){0};
    switch (lua_type(L, index)) {
    case LUA_TNONE:
    case LUA_TNIL: return;
    case LUA_TBOOLEAN: out->kind = lua_toboolean(L, index) ? MILLRACE_LUA_TRUE : MILLRACE_LUA_FALSE; return;
    case LUA_TLIGHTUSERDATA: out->kind = MILLRACE_LUA_NULL; return;
    case LUA_TSTRING:
        out->kind = MILLRACE_LUA_TEXT;
        out->bytes = (const uint8_t *)lua_tolstring(L, index, &out->byte_count);
        return;
    case LUA_TNUMBER:
        out->kind = lua_isinteger(L, index) ? MILLRACE_LUA_INTEGER : MILLRACE_LUA_FLOAT;
        if (out->kind == MILLRACE_LUA_INTEGER) out->integer = lua_tointeger(L, index);
        else out->number = lua_tonumber(L, index);
        return;
    case LUA_TTABLE: {
        const void *path[64] = {0};
        out->kind = MILLRACE_LUA_TABLE;
        tape_add_table(L, index, 0, path);
        return;
    }
    case LUA_TUSERDATA: {
        proxy *face = to_proxy(L, index);
        if (face == NULL) {
            out->bytes = (const uint8_t *)decimal_text(L, index, &out->byte_count);
            if (out->bytes == NULL) break;
            out->kind = MILLRACE_LUA_DECIMAL;
            return;
        }
        out->kind = MILLRACE_LUA_NODE;
        out->node = face->node;
        return;
    }
    default: break;
    }
    luaL_error(L, "a %s", kind_name(L, index));
}
