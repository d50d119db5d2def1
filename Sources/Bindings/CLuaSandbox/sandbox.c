#include "sandbox.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WORK_BETWEEN_CLOCKS 2000
#define GARBAGE_KEPT_BYTES (256 * 1024)

static int64_t clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

// ---- limits

// Called where nothing may be raised: the hook, or the next charge, ends the evaluation.
static void charge_memory_work(millrace_lua *lua, int64_t work_units) {
    lua->work_left -= work_units;
    lua->work_until_clock -= work_units;
}

static void *counting_allocator(void *context, void *block, size_t old_size, size_t new_size) {
    millrace_lua *lua = context;
    // For a new block, Lua passes a type instead of the old size.
    if (block == NULL) old_size = 0;
    if (new_size == 0) {
        free(block);
        lua->memory_used -= (int64_t)old_size;
        return NULL;
    }
    int64_t growth = (int64_t)new_size - (int64_t)old_size;
    if (new_size > INT64_MAX / 2) return NULL;
    if (growth > 0 && lua->memory_used + growth > lua->memory_ceiling) {
        // Lua now collects all garbage, which takes time for each byte that it holds, and asks once more.
        charge_memory_work(lua, lua->memory_used / 64);
        return NULL;
    }
    // Copying large blocks takes time that no instruction count includes, and filling a table anew takes more.
    if (growth > 0 && new_size > 512) charge_memory_work(lua, (int64_t)(new_size / (new_size > 4096 ? 32 : 128)));
    void *moved = realloc(block, new_size);
    if (moved != NULL) lua->memory_used += growth;
    return moved;
}

static int is_time_up(millrace_lua *lua) {
    if (lua->processor_end_ns == 0) {
        if (clock_ns(CLOCK_MONOTONIC) < lua->wall_half_ns) return 0;
        lua->processor_end_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) + lua->limits.time_ns / 2;
        return 0;
    }
    return clock_ns(CLOCK_THREAD_CPUTIME_ID) > lua->processor_end_ns;
}

int charge_quietly(millrace_lua *lua, int64_t work_units) {
    lua->work_left -= work_units;
    lua->work_until_clock -= work_units;
    if (lua->work_left < 0) return 0;
    if (lua->work_until_clock < 0) {
        lua->work_until_clock = WORK_BETWEEN_CLOCKS;
        if (is_time_up(lua)) return 0;
    }
    return 1;
}

void charge(lua_State *L, int64_t work_units) {
    if (!charge_quietly(sandbox_of(L), work_units)) fail_evaluation(L, MILLRACE_LUA_OVER_BUDGET);
}

int fail_evaluation(lua_State *L, int32_t failure) {
    sandbox_of(L)->failure = failure;
    lua_pushnil(L);
    return lua_error(L);
}

static void on_count(lua_State *L, lua_Debug *activation) {
    (void)activation;
    charge(L, HOOK_INSTRUCTIONS);
}

int32_t millrace_lua_charge(millrace_lua *lua, int64_t work_units) { return charge_quietly(lua, work_units); }

int32_t millrace_lua_charge_memory(millrace_lua *lua, int64_t bytes) {
    // The host holds it until the evaluation ends, so the ceiling is lower until then.
    if (bytes < 0 || lua->memory_used + bytes > lua->memory_ceiling) return 0;
    lua->memory_ceiling -= bytes;
    return 1;
}

static void set_limits(millrace_lua *lua) {
    lua->failure = MILLRACE_LUA_OK;
    lua->is_reading_result = 0;
    lua->work_left = lua->limits.work_units;
    lua->work_until_clock = WORK_BETWEEN_CLOCKS;
    lua->wall_half_ns = clock_ns(CLOCK_MONOTONIC) + lua->limits.time_ns / 2;
    lua->processor_end_ns = 0;
    lua->memory_ceiling = lua->memory_used + lua->limits.memory_bytes;
    lua->tape_used = 0;
    lua->tape_nodes = 0;
    lua_sethook(lua->state, on_count, LUA_MASKCOUNT, HOOK_INSTRUCTIONS);
}

static void lift_limits(millrace_lua *lua) {
    lua->memory_ceiling = INT64_MAX / 2;
    lua_sethook(lua->state, NULL, 0, 0);
}

static void collect_garbage(millrace_lua *lua) {
    lua_gc(lua->state, LUA_GCCOLLECT);
    lua->memory_settled = lua->memory_used;
}

// ---- errors

#define MESSAGE_BYTES_MAX 65536

// Keeps a message whole or not at all, because a truncated secret could not be found in it.
static void keep_message(millrace_lua *lua, const char *bytes, size_t byte_count) {
    free(lua->message);
    lua->message = byte_count == 0 || byte_count > MESSAGE_BYTES_MAX ? NULL : malloc(byte_count);
    lua->message_byte_count = lua->message == NULL ? 0 : byte_count;
    if (lua->message != NULL) memcpy(lua->message, bytes, byte_count);
}

// Converts the status of lua_pcall to a code; the error value is on top.
static int32_t outcome(millrace_lua *lua, int status) {
    lua_State *L = lua->state;
    if (status == LUA_OK) return MILLRACE_LUA_OK;
    if (lua->failure != MILLRACE_LUA_OK) return lua->failure;
    if (status == LUA_ERRMEM) return MILLRACE_LUA_OVER_MEMORY;
    size_t byte_count = 0;
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &byte_count) : NULL;
    if (text == NULL) {
        text = "an error that is no text";
        byte_count = strlen(text);
    }
    keep_message(lua, text, byte_count);
    return lua->is_reading_result ? MILLRACE_LUA_NOT_A_VALUE : MILLRACE_LUA_RAISED;
}

const uint8_t *millrace_lua_error(millrace_lua *lua, size_t *byte_count) {
    static const char too_long[] = "an error whose text is empty or longer than 64 KiB";
    *byte_count = lua->message == NULL ? sizeof too_long - 1 : lua->message_byte_count;
    return (const uint8_t *)(lua->message == NULL ? too_long : lua->message);
}

// ---- the sealed environment

static int refuse_writing_global(lua_State *L) {
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "this";
    return luaL_error(L, "'%s' cannot be set: write 'local %s = ...'", name, name);
}

static int refuse_writing_library(lua_State *L) { return luaL_error(L, "a library cannot be changed"); }

static int read_global(lua_State *L) {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return 1;
    size_t byte_count = 0;
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tolstring(L, 2, &byte_count) : NULL;
    if (name == NULL) return luaL_error(L, "names are texts");
    millrace_lua *lua = sandbox_of(L);
    millrace_lua_value out = {0};
    begin_host_call(lua);
    charge(L, 10);
    int32_t code = lua->host.root(lua->context, lua, (const uint8_t *)name, byte_count, &out);
    check_host(L, code, &out);
    if (code == MILLRACE_LUA_ABSENT) return luaL_error(L, "unknown name '%s'", name);
    push_value(L, &out);
    return 1;
}

static int call_host(lua_State *L) {
    millrace_lua *lua = sandbox_of(L);
    millrace_lua_value arguments[4] = {{0}};
    int count = lua_gettop(L);
    if (count > 4) count = 4;
    charge(L, 20);
    lua->tape_used = 0;
    lua->tape_nodes = 0;
    size_t offsets[4] = {0};
    for (int index = 0; index < count; index++) {
        offsets[index] = lua->tape_used;
        read_value(L, index + 1, &arguments[index]);
    }
    // The tape may have moved while it grew.
    for (int index = 0; index < count; index++) {
        if (arguments[index].kind == MILLRACE_LUA_TABLE) arguments[index].bytes = lua->tape + offsets[index];
    }
    millrace_lua_value out = {0};
    begin_host_call(lua);
    int32_t function = (int32_t)lua_tointeger(L, lua_upvalueindex(1));
    int32_t code = lua->host.call(lua->context, lua, function, count, arguments, &out);
    check_host(L, code, &out);
    push_value(L, &out);
    return 1;
}

// Replaces the table on top of the stack by a read-only proxy of it.
static void seal_library(lua_State *L) {
    lua_newuserdatauv(L, 0, 0);
    lua_createtable(L, 0, 3);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, refuse_writing_library);
    lua_setfield(L, -2, "__newindex");
    lua_pushliteral(L, "library");
    lua_setfield(L, -2, "__name");
    lua_setmetatable(L, -2);
    lua_remove(L, -2);
}

typedef struct {
    millrace_lua *lua;
    const millrace_lua_function *functions;
    int32_t function_count;
} setup;

// Adds the host's functions of one library to the table on top.
static void add_host_functions(lua_State *L, const setup *all, const char *library) {
    for (int32_t index = 0; index < all->function_count; index++) {
        if (strcmp(all->functions[index].library, library) != 0) continue;
        lua_pushinteger(L, all->functions[index].number);
        lua_pushcclosure(L, call_host, 1);
        lua_setfield(L, -2, all->functions[index].name);
    }
}

static void add_library(lua_State *L, const setup *all, const char *name, void (*fill)(lua_State *)) {
    lua_newtable(L);
    if (fill != NULL) fill(L);
    add_host_functions(L, all, name);
    seal_library(L);
    lua_setfield(L, -2, name);
}

// Indexing null gives null, so that a missing path is no error.
static void make_nil_metatable(lua_State *L) {
    lua_pushnil(L);
    lua_createtable(L, 0, 1);
    lua_newtable(L);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

static void fill_text_library(lua_State *L) {
    fill_strings(L);
    fill_patterns(L);
}

static void fill_json(lua_State *L) {
    lua_pushlightuserdata(L, (void *)&null_marker);
    lua_setfield(L, -2, "null");
}

static int prepare(lua_State *L) {
    const setup *all = lua_touserdata(L, 1);
    make_nil_metatable(L);
    make_proxy_metatable(L);
    make_decimal_metatable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "table");
    lua_setfield(L, -2, "__name");
    all->lua->list_metatable = luaL_ref(L, LUA_REGISTRYINDEX);

    lua_newtable(L);
    fill_globals(L);
    fill_exact_operators(L);
    add_host_functions(L, all, "");
    // The methods of texts read the table behind the library's proxy.
    lua_newtable(L);
    fill_text_library(L);
    add_host_functions(L, all, "string");
    lua_pushvalue(L, -1);
    make_string_metatable(L);
    seal_library(L);
    lua_setfield(L, -2, "string");
    add_library(L, all, "table", fill_tables);
    add_library(L, all, "math", fill_math);
    add_library(L, all, "json", fill_json);
    static const char *const hosted[] = {"crypto", "base64", "hex", "time", "money", "url", "csv", "xml", "random"};
    for (size_t index = 0; index < sizeof hosted / sizeof hosted[0]; index++)
        add_library(L, all, hosted[index], NULL);

    lua_newuserdatauv(L, 0, 0);
    lua_createtable(L, 0, 2);
    lua_pushvalue(L, -3);
    lua_pushcclosure(L, read_global, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, refuse_writing_global);
    lua_setfield(L, -2, "__newindex");
    lua_setmetatable(L, -2);
    all->lua->environment = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

// ---- entry points

millrace_lua *millrace_lua_new(
    const millrace_lua_host *host, const millrace_lua_function *functions, int32_t function_count,
    const millrace_lua_limits *limits
) {
    millrace_lua *lua = calloc(1, sizeof *lua);
    if (lua == NULL) return NULL;
    lua->host = *host;
    lua->limits = *limits;
    lua->memory_ceiling = INT64_MAX / 2;
    lua->work_left = INT64_MAX / 2;
    lua->work_until_clock = INT64_MAX / 2;
    lua->state = lua_newstate(counting_allocator, lua);
    if (lua->state == NULL) {
        free(lua);
        return NULL;
    }
    *(millrace_lua **)lua_getextraspace(lua->state) = lua;
    setup all = {lua, functions, function_count};
    lua_pushcfunction(lua->state, prepare);
    lua_pushlightuserdata(lua->state, &all);
    if (lua_pcall(lua->state, 1, 0, 0) != LUA_OK) {
        millrace_lua_free(lua);
        return NULL;
    }
    lift_limits(lua);
    collect_garbage(lua);
    return lua;
}

void millrace_lua_free(millrace_lua *lua) {
    lua_close(lua->state);
    free(lua->message);
    free(lua->scratch);
    free(lua->tape);
    free(lua);
}

typedef struct {
    const char *source;
    size_t byte_count;
    int reference;
} loading;

static int load_chunk(lua_State *L) {
    loading *chunk = lua_touserdata(L, 1);
    if (luaL_loadbufferx(L, chunk->source, chunk->byte_count, "=e", "t") != LUA_OK) return lua_error(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, sandbox_of(L)->environment);
    // The first upvalue of every main function is _ENV.
    lua_setupvalue(L, -2, 1);
    chunk->reference = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

int32_t millrace_lua_load(
    millrace_lua *lua, const uint8_t *source, size_t source_byte_count, int32_t *reference
) {
    lua_State *L = lua->state;
    lua_settop(L, 0);
    loading chunk = {(const char *)source, source_byte_count, LUA_NOREF};
    set_limits(lua);
    lua_pushcfunction(L, load_chunk);
    lua_pushlightuserdata(L, &chunk);
    int32_t code = outcome(lua, lua_pcall(L, 1, 0, 0));
    lift_limits(lua);
    lua_settop(L, 0);
    // Garbage of the compiler must not count as memory of later evaluations.
    if (code == MILLRACE_LUA_OK) collect_garbage(lua);
    *reference = chunk.reference;
    return code;
}

void millrace_lua_unload(millrace_lua *lua, int32_t reference) {
    luaL_unref(lua->state, LUA_REGISTRYINDEX, reference);
}

static int run_chunk(lua_State *L) {
    millrace_lua *lua = sandbox_of(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, lua_tointeger(L, 1));
    lua_call(L, 0, 1);
    lua->tape_used = 0;
    lua->tape_nodes = 0;
    lua->is_reading_result = 1;
    read_value(L, -1, &lua->result);
    if (lua->result.kind == MILLRACE_LUA_TABLE) lua->result.bytes = lua->tape;
    return 1;
}

int32_t millrace_lua_evaluate(
    millrace_lua *lua, int32_t reference, void *context, millrace_lua_value *result
) {
    lua_State *L = lua->state;
    lua_settop(L, 0);
    if (lua->memory_used > lua->memory_settled + GARBAGE_KEPT_BYTES) collect_garbage(lua);
    lua->context = context;
    set_limits(lua);
    lua->result = (millrace_lua_value){0};
    lua_pushcfunction(L, run_chunk);
    lua_pushinteger(L, reference);
    int32_t code = outcome(lua, lua_pcall(L, 1, 1, 0));
    lift_limits(lua);
    *result = lua->result;
    lua->context = NULL;
    return code;
}
