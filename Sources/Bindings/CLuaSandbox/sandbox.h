#pragma once

#include "CLuaSandbox.h"

#include <lauxlib.h>
#include <lua.h>

// Characters of a pattern; each becomes an item of about 48 bytes.
#define PATTERN_BYTES_MAX 4096
#define HOOK_INSTRUCTIONS 50

struct millrace_lua {
    lua_State *state;
    millrace_lua_host host;
    millrace_lua_limits limits;
    void *context;

    int64_t memory_used;
    int64_t memory_ceiling;
    // In use after the last full collection.
    int64_t memory_settled;
    int64_t work_left;
    int64_t work_until_clock;
    int64_t wall_half_ns;
    int64_t processor_end_ns;
    int32_t failure;
    int32_t is_reading_result;

    // References of things a script cannot reach otherwise.
    int environment;
    int proxy_metatable;
    int list_metatable;
    int decimal_metatable;
    // Decimals by their texts, so that each is one key.
    int decimal_keys;

    // Texts that the host wrote during one call.
    uint8_t *scratch;
    size_t scratch_used, scratch_capacity;
    // Tables of one call or of a result, as bytes.
    uint8_t *tape;
    size_t tape_used, tape_capacity;
    int32_t tape_nodes;

    millrace_lua_value result;
    // The last error's text.
    char *message;
    size_t message_byte_count;
};

typedef struct {
    int32_t node;
} proxy;

static inline millrace_lua *sandbox_of(lua_State *L) { return *(millrace_lua **)lua_getextraspace(L); }

// sandbox.c
// Takes work from the budget; raises when it is used up. Every loop of ours that input can lengthen calls it.
void charge(lua_State *L, int64_t work_units);
int charge_quietly(millrace_lua *lua, int64_t work_units);
// Ends the evaluation with a failure that no script can catch.
int fail_evaluation(lua_State *L, int32_t failure);

// values.c
// Where the null of json.null points: only its address matters.
extern const char null_marker;
void push_value(lua_State *L, const millrace_lua_value *value);
// The value at an index, tables as a tape; texts stay Lua's own. Raises where it is no value.
void read_value(lua_State *L, int index, millrace_lua_value *out);
proxy *to_proxy(lua_State *L, int index);
void push_node(lua_State *L, int32_t node);
// Raises what a host function's code asks for; returns for OK and ABSENT.
void check_host(lua_State *L, int32_t code, const millrace_lua_value *out);
void begin_host_call(millrace_lua *lua);
void make_proxy_metatable(lua_State *L);
// "map", "list", "text" …: the word of error messages and of type().
const char *kind_name(lua_State *L, int index);

// numbers.c
int is_decimal(lua_State *L, int index);
// The text of a decimal; null for anything else.
const char *decimal_text(lua_State *L, int index, size_t *byte_count);
void push_decimal(lua_State *L, const char *text, size_t byte_count);
// Puts a plain number in the place of a decimal; raises where that would lose digits of a whole number.
// Returns whether there was a decimal.
int make_plain(lua_State *L, int index);
// Puts the exact text of a number in its place; returns whether a text stands there now.
int make_text(lua_State *L, int index);
// Puts a plain number in the place of a decimal or of a text that spells one; returns whether one stands there.
int make_number(lua_State *L, int index);
// Pushes the number that a text spells; 0 and nothing pushed where it spells none.
int push_number_of_text(lua_State *L, int index);
// Lua's own checks of arguments, for all that is a number or a text here.
lua_Integer checked_integer(lua_State *L, int index);
lua_Integer optional_integer(lua_State *L, int index, lua_Integer fallback);
lua_Number checked_number(lua_State *L, int index);
const char *checked_string(lua_State *L, int index, size_t *byte_count);
const char *optional_string(lua_State *L, int index, const char *fallback, size_t *byte_count);
// Whether two values are equal; decimals as the numbers that they are.
int is_same(lua_State *L, int left, int right);
void make_decimal_metatable(lua_State *L);
// Adds the operators that texts and decimals share to the metatable on top.
void add_arithmetic(lua_State *L);
// Adds what the compiler puts in the place of operators.
void fill_exact_operators(lua_State *L);

// libraries: each pushes nothing and fills the table on top of the stack.
void add_functions(lua_State *L, const luaL_Reg *functions);
void fill_globals(lua_State *L);
void fill_strings(lua_State *L);
void fill_patterns(lua_State *L);
void fill_tables(lua_State *L);
void fill_math(lua_State *L);
void make_string_metatable(lua_State *L);
int text_format(lua_State *L);
// tostring of the value at an index, without addresses; pushes the text.
const char *push_text(lua_State *L, int index, size_t *byte_count);

// A growing text of which the memory is Lua's, held in one stack slot. Not luaL_Buffer: that has a
// finaliser, and nothing in a sandbox may have one.
typedef struct {
    lua_State *state;
    int slot;
    char *bytes;
    size_t used, capacity;
} text_buffer;

void buffer_open(lua_State *L, text_buffer *buffer, size_t capacity);
char *buffer_reserve(text_buffer *buffer, size_t extra);
void buffer_add(text_buffer *buffer, const char *bytes, size_t byte_count);
void buffer_push(text_buffer *buffer);
