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
    // Memory in use after the last full collection.
    int64_t memory_settled;
    int64_t work_left;
    int64_t work_until_clock;
    int64_t wall_half_ns;
    int64_t processor_end_ns;
    int32_t failure;
    int32_t is_reading_result;

    // Registry references to objects that scripts cannot reach otherwise.
    int environment;
    int proxy_metatable;
    int list_metatable;
    int decimal_metatable;
    // Decimals by their texts, so that each is one key.
    int decimal_keys;

    // Texts written by the host during one call.
    uint8_t *scratch;
    size_t scratch_used, scratch_capacity;
    // Serialised tables of one call or of a result.
    uint8_t *tape;
    size_t tape_used, tape_capacity;
    int32_t tape_nodes;

    millrace_lua_value result;
    // The message of the last error.
    char *message;
    size_t message_byte_count;
};

typedef struct {
    int32_t node;
} proxy;

static inline millrace_lua *sandbox_of(lua_State *L) { return *(millrace_lua **)lua_getextraspace(L); }

// sandbox.c
// Charges work; raises if the budget is used up. Every loop whose length depends on input calls it.
void charge(lua_State *L, int64_t work_units);
int charge_quietly(millrace_lua *lua, int64_t work_units);
// Ends the evaluation with a failure that no script can catch.
int fail_evaluation(lua_State *L, int32_t failure);

// values.c
// The target of json.null's pointer; only its address matters.
extern const char null_marker;
void push_value(lua_State *L, const millrace_lua_value *value);
// Reads the value at an index, with tables as a tape and texts in Lua's memory. Raises if it is no value.
void read_value(lua_State *L, int index, millrace_lua_value *out);
proxy *to_proxy(lua_State *L, int index);
void push_node(lua_State *L, int32_t node);
// Raises the error of a host function's code; returns for OK and ABSENT.
void check_host(lua_State *L, int32_t code, const millrace_lua_value *out);
void begin_host_call(millrace_lua *lua);
void make_proxy_metatable(lua_State *L);
// The kind for error messages and type(), such as "map", "list" or "text".
const char *kind_name(lua_State *L, int index);

// numbers.c
int is_decimal(lua_State *L, int index);
// The text of a decimal; NULL for anything else.
const char *decimal_text(lua_State *L, int index, size_t *byte_count);
void push_decimal(lua_State *L, const char *text, size_t byte_count);
// Replaces a decimal by a plain number; raises if that would lose digits of a whole number. Returns whether there was a
// decimal.
int make_plain(lua_State *L, int index);
// Replaces a number by its exact text; returns whether the value is a text now.
int make_text(lua_State *L, int index);
// Replaces a decimal, or a text that spells a number, by a plain number; returns whether the value is a number now.
int make_number(lua_State *L, int index);
// Pushes the number that a text spells; pushes nothing and returns 0 if it spells none.
int push_number_of_text(lua_State *L, int index);
// Lua's argument checks, extended to decimals.
lua_Integer checked_integer(lua_State *L, int index);
lua_Integer optional_integer(lua_State *L, int index, lua_Integer fallback);
lua_Number checked_number(lua_State *L, int index);
const char *checked_string(lua_State *L, int index, size_t *byte_count);
const char *optional_string(lua_State *L, int index, const char *fallback, size_t *byte_count);
// Whether two values are equal; decimals compare as numbers.
int is_same(lua_State *L, int left, int right);
void make_decimal_metatable(lua_State *L);
// Adds the operators that texts and decimals share to the metatable on top.
void add_arithmetic(lua_State *L);
// Whether a decimal such as 2.0 is a whole number that a float represents, and which.
int whole_of_decimal(lua_State *L, int index, lua_Integer *out);
int push_whole_part(lua_State *L, const char *text, size_t byte_count, int is_up, int *has_fraction);
int has_more_places(const char *text, int places);
int places_of(const char *directive);
void refuse_inexact(lua_State *L, int index);
// The order of two texts: negative, zero or positive. Charges for the bytes.
int compare_texts(lua_State *L, int left, int right);
// The result of `<`, or of `<=`; raises Lua's error if the values have no order.
int is_less(lua_State *L, int left, int right, int or_equal);
// Adds the functions that the compiler uses in place of operators.
void fill_exact_operators(lua_State *L);

// Libraries: each function fills the table on top of the stack and pushes nothing.
void add_functions(lua_State *L, const luaL_Reg *functions);
void fill_globals(lua_State *L);
void fill_strings(lua_State *L);
void fill_patterns(lua_State *L);
void fill_tables(lua_State *L);
void fill_math(lua_State *L);
void make_string_metatable(lua_State *L);
int text_format(lua_State *L);
// Pushes the result of tostring for the value at an index, without addresses.
const char *push_text(lua_State *L, int index, size_t *byte_count);

// A growing text in Lua's memory, in one stack slot. luaL_Buffer is not used, because it has a finaliser, and nothing
// in a sandbox may have one.
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

// formats.c
// Adds a decimal as a directive of string.format with d, i or f asks for it, in all its digits.
void add_decimal(text_buffer *out, const char *directive, char conversion, int argument);
