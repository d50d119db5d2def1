#pragma once

#include <stddef.h>
#include <stdint.h>

// A sealed Lua 5.4 for expressions.
//
// Lua reports errors by longjmp, which must never cross a Swift frame. So this header exposes no Lua function: each call
// below runs under lua_pcall, and host functions (in Swift) return a status, which C turns into a Lua error only after
// the Swift frames have returned.

typedef struct millrace_lua millrace_lua;

enum {
    MILLRACE_LUA_NIL = 0,
    MILLRACE_LUA_FALSE = 1,
    MILLRACE_LUA_TRUE = 2,
    MILLRACE_LUA_INTEGER = 3,
    MILLRACE_LUA_FLOAT = 4,
    MILLRACE_LUA_TEXT = 5,
    // A container of the host, by its index in the host's table for this evaluation.
    MILLRACE_LUA_NODE = 6,
    // A Lua table written as a tape (see values.c).
    MILLRACE_LUA_TABLE = 7,
    // An explicit null, so that it can stand inside a table.
    MILLRACE_LUA_NULL = 8,
    // A number that Lua's own numbers cannot represent digit by digit, as text (see numbers.c).
    MILLRACE_LUA_DECIMAL = 9,
};

// The result of a call.
enum {
    MILLRACE_LUA_OK = 0,
    // From host functions only: there is no such name, entry or member.
    MILLRACE_LUA_ABSENT = 1,
    // An error with a message; see millrace_lua_error.
    MILLRACE_LUA_RAISED = 2,
    // The host recorded its own failure before it returned this.
    MILLRACE_LUA_HOST_FAILED = 3,
    // After these two the state must be freed.
    MILLRACE_LUA_OVER_BUDGET = 4,
    MILLRACE_LUA_OVER_MEMORY = 5,
    // The result is no value; the message says why.
    MILLRACE_LUA_NOT_A_VALUE = 6,
    // An exact operator got an operand that it does not accept; the same chunk with Lua's operators gives the message.
    MILLRACE_LUA_ILL_TYPED = 7,
};

// A value passed between Lua and the host. `bytes` is valid during the call; for the result of an evaluation, until the
// next call on the same state.
typedef struct {
    int32_t kind;
    int32_t node;
    int64_t integer;
    double number;
    const uint8_t *_Nullable bytes;
    size_t byte_count;
} millrace_lua_value;

// The host's functions. Each returns one of the codes above and writes texts with millrace_lua_put.
typedef struct {
    // A root name of the scope.
    int32_t (*_Nonnull root)(
        void *_Nonnull context, millrace_lua *_Nonnull lua, const uint8_t *_Nonnull name,
        size_t name_byte_count, millrace_lua_value *_Nonnull out);
    // The member of a node by text or by index from 1.
    int32_t (*_Nonnull member)(
        void *_Nonnull context, millrace_lua *_Nonnull lua, int32_t node,
        const millrace_lua_value *_Nonnull key, millrace_lua_value *_Nonnull out);
    // The number of a node's entries.
    int64_t (*_Nonnull count)(void *_Nonnull context, int32_t node);
    // Whether a node is a list.
    int32_t (*_Nonnull is_list)(void *_Nonnull context, int32_t node);
    // The name of the entry at a position from 1; for maps only.
    int32_t (*_Nonnull name)(
        void *_Nonnull context, millrace_lua *_Nonnull lua, int32_t node, int64_t position,
        millrace_lua_value *_Nonnull out);
    // Whether two nodes hold the same value: 1 or 0.
    int32_t (*_Nonnull equal)(
        void *_Nonnull context, millrace_lua *_Nonnull lua, int32_t left, int32_t right);
    // The number of a decimal text: an integer or a float if that is exact, otherwise a decimal, with the same text for
    // equal numbers.
    int32_t (*_Nonnull number)(
        void *_Nonnull context, millrace_lua *_Nonnull lua, const uint8_t *_Nonnull text,
        size_t text_byte_count, millrace_lua_value *_Nonnull out);
    // -1, 0 or 1 if a number is below, equal to or above another, exactly; 2 if one of them is NaN.
    int32_t (*_Nonnull compare)(
        void *_Nonnull context, const millrace_lua_value *_Nonnull left,
        const millrace_lua_value *_Nonnull right);
    // A host function by its number.
    int32_t (*_Nonnull call)(
        void *_Nonnull context, millrace_lua *_Nonnull lua, int32_t function, int32_t argument_count,
        const millrace_lua_value *_Nonnull arguments, millrace_lua_value *_Nonnull out);
} millrace_lua_host;

// A function for scripts: `library.name`, or a plain name if library is "".
typedef struct {
    const char *_Nonnull library;
    const char *_Nonnull name;
    int32_t number;
} millrace_lua_function;

// The limits of one evaluation.
typedef struct {
    // One unit is about one instruction of the virtual machine.
    int64_t work_units;
    // In addition to what the state held before.
    int64_t memory_bytes;
    // In nanoseconds. Beyond half of it only the thread's processor time counts, so that a thread that was not
    // scheduled is not mistaken for an endless loop.
    int64_t time_ns;
    // Tables and scalars in a result or an argument.
    int32_t nodes_max;
    int32_t depth_max;
} millrace_lua_limits;

// NULL if memory is short. The function table is read during the call only.
millrace_lua *_Nullable millrace_lua_new(
    const millrace_lua_host *_Nonnull host, const millrace_lua_function *_Nonnull functions,
    int32_t function_count, const millrace_lua_limits *_Nonnull limits);
void millrace_lua_free(millrace_lua *_Nonnull lua);

// Compiles text (never bytecode) and stores the chunk under `reference`, which is positive.
int32_t millrace_lua_load(
    millrace_lua *_Nonnull lua, const uint8_t *_Nonnull source, size_t source_byte_count,
    int32_t *_Nonnull reference);
// Drops a chunk.
void millrace_lua_unload(millrace_lua *_Nonnull lua, int32_t reference);
// Runs a chunk; `context` is passed to the host's functions.
int32_t millrace_lua_evaluate(
    millrace_lua *_Nonnull lua, int32_t reference, void *_Nonnull context,
    millrace_lua_value *_Nonnull result);
// The message of the last error; never NULL, valid until the next call on the state.
const uint8_t *_Nonnull millrace_lua_error(millrace_lua *_Nonnull lua, size_t *_Nonnull byte_count);

// For host functions: copies a text into the result.
void millrace_lua_put(
    millrace_lua *_Nonnull lua, millrace_lua_value *_Nonnull out, const uint8_t *_Nullable bytes,
    size_t byte_count);
// For host functions: like millrace_lua_put, for a number that only its text represents.
void millrace_lua_put_decimal(
    millrace_lua *_Nonnull lua, millrace_lua_value *_Nonnull out, const uint8_t *_Nullable bytes,
    size_t byte_count);
// For host functions: charges work before it is done. Returns 0 if the budget is used up; the host function must then
// return MILLRACE_LUA_OVER_BUDGET.
int32_t millrace_lua_charge(millrace_lua *_Nonnull lua, int64_t work_units);
// Like millrace_lua_charge, for memory that the host holds until the evaluation ends.
int32_t millrace_lua_charge_memory(millrace_lua *_Nonnull lua, int64_t bytes);
