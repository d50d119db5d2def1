#include "sandbox.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Exact numbers.
//
// Lua has 64-bit integers that wrap and floats that print with 14 digits. A number from outside that neither represents
// digit by digit becomes a decimal: a userdata with the number's text, which scripts see as a number. The compiler
// replaces operators that would lose digits by calls of the functions below (`ExactOperators.swift`).

typedef struct {
    size_t byte_count;
    char text[];
} decimal;

// ---- decimals

static decimal *to_decimal(lua_State *L, int index) {
    if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return NULL;
    lua_rawgeti(L, LUA_REGISTRYINDEX, sandbox_of(L)->decimal_metatable);
    int is_decimal = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return is_decimal ? lua_touserdata(L, index) : NULL;
}

int is_decimal(lua_State *L, int index) { return to_decimal(L, index) != NULL; }

const char *decimal_text(lua_State *L, int index, size_t *byte_count) {
    decimal *number = to_decimal(L, index);
    if (number == NULL) return NULL;
    *byte_count = number->byte_count;
    return number->text;
}

// Decimals with the same text are one object, so that each is one table key.
void push_decimal(lua_State *L, const char *text, size_t byte_count) {
    charge(L, 5 + (int64_t)(byte_count / 32));
    luaL_checkstack(L, 4, "too many numbers");
    lua_rawgeti(L, LUA_REGISTRYINDEX, sandbox_of(L)->decimal_keys);
    lua_pushlstring(L, text, byte_count);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) == LUA_TNIL) {
        lua_pop(L, 1);
        decimal *number = lua_newuserdatauv(L, sizeof *number + byte_count + 1, 0);
        number->byte_count = byte_count;
        memcpy(number->text, lua_tostring(L, -2), byte_count);
        number->text[byte_count] = '\0';
        lua_rawgeti(L, LUA_REGISTRYINDEX, sandbox_of(L)->decimal_metatable);
        lua_setmetatable(L, -2);
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, -5);
    }
    lua_replace(L, -3);
    lua_pop(L, 1);
}

static int is_written_whole(const decimal *number) {
    return strspn(number->text, "-0123456789") == number->byte_count;
}

static int refuse_decimal(lua_State *L, const decimal *number, const char *reason) {
    return luaL_error(
        L, "the number %s%s %s", lua_pushlstring(L, number->text, number->byte_count < 40 ? number->byte_count : 40),
        number->byte_count > 40 ? "..." : "", reason);
}

// Whether a float represents all digits of a whole number.
static int holds_all_digits(double number, const decimal *source) {
    char digits[400];
    int count = snprintf(digits, sizeof digits, "%.0f", number);
    return (size_t)count == source->byte_count && memcmp(digits, source->text, source->byte_count) == 0;
}

int make_plain(lua_State *L, int index) {
    decimal *number = to_decimal(L, index);
    if (number == NULL) return 0;
    charge(L, 2 + (int64_t)(number->byte_count / 16));
    double nearest = strtod(number->text, NULL);
    if (isinf(nearest)) refuse_decimal(L, number, "is too large to compute with");
    if (is_written_whole(number) && !holds_all_digits(nearest, number))
        refuse_decimal(L, number, "has more digits than can be computed with: pass it on, compare it or use it as text");
    lua_pushnumber(L, nearest);
    lua_replace(L, index);
    return 1;
}

// ---- texts of numbers

// Formats a float like Lua, but with enough digits to distinguish it from all others.
static int write_float(char *out, size_t capacity, double number) {
    int count = 0;
    for (int digits = 14; digits <= 17; digits++) {
        count = snprintf(out, capacity, "%.*g", digits, number);
        if (isnan(number) || strtod(out, NULL) == number) break;
    }
    if (strspn(out, "-0123456789") == (size_t)count) count += snprintf(out + count, capacity - (size_t)count, ".0");
    return count;
}

int make_text(lua_State *L, int index) {
    char text[64];
    decimal *number = to_decimal(L, index);
    if (number != NULL) {
        charge(L, (int64_t)(number->byte_count / 64));
        lua_pushlstring(L, number->text, number->byte_count);
    } else if (lua_type(L, index) != LUA_TNUMBER) {
        return lua_type(L, index) == LUA_TSTRING;
    } else if (lua_isinteger(L, index)) {
        return lua_tolstring(L, index, NULL) != NULL;
    } else {
        int count = write_float(text, sizeof text, lua_tonumber(L, index));
        lua_pushlstring(L, text, (size_t)count);
    }
    lua_replace(L, index);
    return 1;
}

// ---- arguments of functions

lua_Integer checked_integer(lua_State *L, int index) {
    if (lua_type(L, index) == LUA_TUSERDATA) make_plain(L, index);
    if (lua_type(L, index) == LUA_TSTRING) make_number(L, index);
    return luaL_checkinteger(L, index);
}

lua_Integer optional_integer(lua_State *L, int index, lua_Integer fallback) {
    return lua_isnoneornil(L, index) ? fallback : checked_integer(L, index);
}

lua_Number checked_number(lua_State *L, int index) {
    if (lua_type(L, index) == LUA_TUSERDATA) make_plain(L, index);
    if (lua_type(L, index) == LUA_TSTRING) make_number(L, index);
    return luaL_checknumber(L, index);
}

const char *checked_string(lua_State *L, int index, size_t *byte_count) {
    if (lua_type(L, index) != LUA_TSTRING && !lua_isnone(L, index)) make_text(L, index);
    return luaL_checklstring(L, index, byte_count);
}

const char *optional_string(lua_State *L, int index, const char *fallback, size_t *byte_count) {
    if (!lua_isnoneornil(L, index)) return checked_string(L, index, byte_count);
    *byte_count = strlen(fallback);
    return fallback;
}

// ---- numbers of texts

static int is_hexadecimal(const char *text, size_t byte_count) {
    return memchr(text, 'x', byte_count) != NULL || memchr(text, 'X', byte_count) != NULL;
}

// Whether a hexadecimal integer has more than 64 bits, which Lua would truncate.
static int is_cut_hexadecimal(const char *text, size_t byte_count) {
    const char *digits = memchr(text, 'x', byte_count);
    if (digits == NULL) digits = memchr(text, 'X', byte_count);
    digits += 1 + strspn(digits + 1, "0");
    return strspn(digits, "0123456789abcdefABCDEF") > 16;
}

// Whether a float certainly represents all digits of the text that it was parsed from.
static int is_surely_exact(const char *text, size_t byte_count, double number) {
    if (isinf(number) || byte_count > 15) return 0;
    return number != 0 ? fabs(number) > 1e-290 : strcspn(text, "123456789") == byte_count;
}

static void push_exact_number(lua_State *L, const char *text, size_t byte_count) {
    millrace_lua *lua = sandbox_of(L);
    millrace_lua_value out = {0};
    begin_host_call(lua);
    charge(L, (int64_t)(byte_count / 8));
    check_host(L, lua->host.number(lua->context, lua, (const uint8_t *)text, byte_count, &out), &out);
    push_value(L, &out);
}

int push_number_of_text(lua_State *L, int index) {
    size_t byte_count = 0;
    const char *text = lua_tolstring(L, index, &byte_count);
    charge(L, (int64_t)(byte_count / 16));
    size_t read_count = lua_stringtonumber(L, text);
    if (read_count == 0) return 0;
    // A zero byte ended the number early.
    if (read_count != byte_count + 1) {
        lua_pop(L, 1);
        return 0;
    }
    if (is_hexadecimal(text, byte_count)) {
        if (lua_isinteger(L, -1) && is_cut_hexadecimal(text, byte_count))
            return luaL_error(L, "the number %s does not fit 64 bits", text);
        return 1;
    }
    if (lua_isinteger(L, -1) || is_surely_exact(text, byte_count, lua_tonumber(L, -1))) return 1;
    lua_pop(L, 1);
    push_exact_number(L, text, byte_count);
    return 1;
}

int make_number(lua_State *L, int index) {
    if (is_decimal(L, index)) return make_plain(L, index);
    if (lua_type(L, index) == LUA_TSTRING && push_number_of_text(L, index)) {
        lua_replace(L, index);
        make_plain(L, index);
    }
    return lua_type(L, index) == LUA_TNUMBER;
}

// A literal of the source that Lua's own numbers cannot represent.
static int exact_numeral(lua_State *L) {
    size_t byte_count = 0;
    const char *text = lua_tolstring(L, 1, &byte_count);
    if (is_hexadecimal(text, byte_count)) return luaL_error(L, "the number %s does not fit 64 bits", text);
    push_exact_number(L, text, byte_count);
    return 1;
}

// ---- comparing

// -1, 0 or 1; at least one of the two is a decimal, the other a number.
static int order(lua_State *L, int left, int right) {
    millrace_lua *lua = sandbox_of(L);
    millrace_lua_value first = {0}, second = {0};
    read_value(L, left, &first);
    read_value(L, right, &second);
    charge(L, 10 + (int64_t)((first.byte_count + second.byte_count) / 16));
    return lua->host.compare(lua->context, &first, &second);
}

int whole_of_decimal(lua_State *L, int index, lua_Integer *out) {
    decimal *number = to_decimal(L, index);
    int has_fraction = 0;
    if (!push_whole_part(L, number->text, number->byte_count, 0, &has_fraction)) return 0;
    int is_whole = !has_fraction && lua_isinteger(L, -1);
    *out = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return is_whole;
}

static int is_any_number(lua_State *L, int index) {
    return lua_type(L, index) == LUA_TNUMBER || is_decimal(L, index);
}

// Comparing texts reads as many bytes as the shorter one has. Lua compares zero byte by zero byte, each with a call
// of strcoll, and charges nothing; in the C locale the result is that of memcmp.
int compare_texts(lua_State *L, int left, int right) {
    size_t left_count, right_count;
    const char *left_text = lua_tolstring(L, left, &left_count), *right_text = lua_tolstring(L, right, &right_count);
    size_t shared = left_count < right_count ? left_count : right_count;
    charge(L, (int64_t)(shared / 64));
    int order = memcmp(left_text, right_text, shared);
    return order != 0 ? order : (left_count > right_count) - (left_count < right_count);
}

static int are_texts(lua_State *L, int left, int right) {
    return lua_type(L, left) == LUA_TSTRING && lua_type(L, right) == LUA_TSTRING;
}

int is_same(lua_State *L, int left, int right) {
    if (are_texts(L, left, right) && lua_rawlen(L, left) == lua_rawlen(L, right))
        charge(L, (int64_t)(lua_rawlen(L, left) / 64));
    int is_exact = lua_type(L, left) == LUA_TUSERDATA || lua_type(L, right) == LUA_TUSERDATA;
    if (!is_exact || !(is_decimal(L, left) || is_decimal(L, right)))
        return lua_compare(L, left, right, LUA_OPEQ);
    return is_any_number(L, left) && is_any_number(L, right) && order(L, left, right) == 0;
}

static int exact_equal(lua_State *L) {
    lua_settop(L, 2);
    lua_pushboolean(L, is_same(L, 1, 2));
    return 1;
}

static int exact_unequal(lua_State *L) {
    lua_settop(L, 2);
    lua_pushboolean(L, !is_same(L, 1, 2));
    return 1;
}

static void check_order(lua_State *L) {
    if (is_any_number(L, 1) && is_any_number(L, 2)) return;
    luaL_error(L, "attempt to compare %s with %s", kind_name(L, 1), kind_name(L, 2));
}

static int decimal_less(lua_State *L) {
    // `x in [a, b]` uses this operator too; the list's metamethod decides it.
    if (!is_any_number(L, 2) && luaL_getmetafield(L, 2, "__lt") == LUA_TFUNCTION) {
        lua_insert(L, 1);
        lua_call(L, 2, 1);
        return 1;
    }
    check_order(L);
    lua_pushboolean(L, order(L, 1, 2) < 0);
    return 1;
}

static int decimal_less_or_equal(lua_State *L) {
    check_order(L);
    lua_pushboolean(L, order(L, 1, 2) <= 0);
    return 1;
}

static int has_order(lua_State *L, int index) {
    if (luaL_getmetafield(L, index, "__lt") == LUA_TNIL) return 0;
    lua_pop(L, 1);
    return 1;
}

// Whether the left value comes before the right one, as Lua's own operators decide it. Leaves the stack as it was,
// because a sort calls it many times.
int is_less(lua_State *L, int left, int right, int or_equal) {
    if (are_texts(L, left, right)) return compare_texts(L, left, right) < or_equal;
    int are_numbers = lua_type(L, left) == LUA_TNUMBER && lua_type(L, right) == LUA_TNUMBER;
    if (!are_numbers && !has_order(L, left) && !has_order(L, right)) {
        const char *first = kind_name(L, left), *second = kind_name(L, right);
        if (strcmp(first, second) == 0) luaL_error(L, "attempt to compare two %s values", first);
        luaL_error(L, "attempt to compare %s with %s", first, second);
    }
    return lua_compare(L, left, right, or_equal ? LUA_OPLE : LUA_OPLT);
}

#define ORDER_OPERATOR(name, left, right, or_equal)             \
    static int name(lua_State *L) {                             \
        lua_settop(L, 2);                                       \
        lua_pushboolean(L, is_less(L, left, right, or_equal));  \
        return 1;                                               \
    }

ORDER_OPERATOR(exact_less, 1, 2, 0)
ORDER_OPERATOR(exact_less_or_equal, 1, 2, 1)
ORDER_OPERATOR(exact_greater, 2, 1, 0)
ORDER_OPERATOR(exact_greater_or_equal, 2, 1, 1)

// A start, limit or step of a `for`.
static int exact_bound(lua_State *L) {
    lua_settop(L, 1);
    make_plain(L, 1);
    return 1;
}

// ---- arithmetic

static const char *spelling(int operator) {
    switch (operator) {
    case LUA_OPADD: return "+";
    case LUA_OPSUB: return "-";
    case LUA_OPMUL: return "*";
    default: return "//";
    }
}

static int refuse_overflow(lua_State *L, int operator, lua_Integer left, lua_Integer right) {
    if (operator == LUA_OPUNM) return luaL_error(L, "integer overflow: -(%I) does not fit 64 bits", left);
    return luaL_error(
        L, "integer overflow: %I %s %I does not fit 64 bits", left, spelling(operator), right);
}

// An integer becomes a float beside a float, and in a quotient.
void refuse_inexact(lua_State *L, int index) {
    if (!lua_isinteger(L, index)) return;
    lua_Integer whole = lua_tointeger(L, index);
    double nearest = (double)whole;
    if (nearest < 9223372036854775808.0 && (lua_Integer)nearest == whole) return;
    luaL_error(
        L, "the whole number %I has more digits than a float: compute with whole numbers only, as by //, or pass it on",
        whole);
}

// Pushes the result of an operator on two integers.
static void push_whole_result(lua_State *L, int operator, lua_Integer left, lua_Integer right) {
    lua_Integer result = 0;
    int is_over = 0;
    switch (operator) {
    case LUA_OPADD: is_over = __builtin_add_overflow(left, right, &result); break;
    case LUA_OPSUB: is_over = __builtin_sub_overflow(left, right, &result); break;
    case LUA_OPMUL: is_over = __builtin_mul_overflow(left, right, &result); break;
    case LUA_OPUNM: is_over = __builtin_sub_overflow(0, left, &result); break;
    case LUA_OPIDIV:
        if (right == 0) luaL_error(L, "attempt to divide by zero");
        is_over = left == LUA_MININTEGER && right == -1;
        if (!is_over) result = left / right - (left % right != 0 && (left ^ right) < 0);
        break;
    default: /* LUA_OPMOD */
        if (operator == LUA_OPMOD && right == 0) luaL_error(L, "attempt to perform 'n%%%%0'");
        lua_pushinteger(L, left);
        lua_pushinteger(L, right);
        lua_arith(L, operator);
        return;
    }
    if (is_over) refuse_overflow(L, operator, left, right);
    lua_pushinteger(L, result);
}

// Pushes the result of an operator on the values at two indices, which become plain numbers. Operands that Lua refuses
// end the evaluation; the host then obtains Lua's own message.
static void push_result(lua_State *L, int operator, int left, int right) {
    if (lua_type(L, left) != LUA_TNUMBER || lua_type(L, right) != LUA_TNUMBER) {
        charge(L, 5);
        int is_numeric = make_number(L, left);
        if (right != left) is_numeric = make_number(L, right) && is_numeric;
        if (!is_numeric) fail_evaluation(L, MILLRACE_LUA_ILL_TYPED);
    }
    int gives_float = operator == LUA_OPDIV || operator == LUA_OPPOW;
    if (!gives_float && lua_isinteger(L, left) && lua_isinteger(L, right)) {
        push_whole_result(L, operator, lua_tointeger(L, left), lua_tointeger(L, right));
        return;
    }
    if (operator != LUA_OPUNM) {
        refuse_inexact(L, left);
        refuse_inexact(L, right);
    }
    lua_pushvalue(L, left);
    if (operator != LUA_OPUNM) lua_pushvalue(L, right);
    lua_arith(L, operator);
}

// A fast path, because most operands are small integers.
#define EXACT_OPERATOR(name, builtin, code) \
    static int name(lua_State *L) { \
        lua_Integer result = 0; \
        if (lua_isinteger(L, 1) && lua_isinteger(L, 2) && \
            !builtin(lua_tointeger(L, 1), lua_tointeger(L, 2), &result)) { \
            lua_pushinteger(L, result); \
            return 1; \
        } \
        lua_settop(L, 2); \
        push_result(L, code, 1, 2); \
        return 1; \
    }

EXACT_OPERATOR(exact_add, __builtin_add_overflow, LUA_OPADD)
EXACT_OPERATOR(exact_sub, __builtin_sub_overflow, LUA_OPSUB)
EXACT_OPERATOR(exact_mul, __builtin_mul_overflow, LUA_OPMUL)

static int exact_idiv(lua_State *L) {
    lua_settop(L, 2);
    push_result(L, LUA_OPIDIV, 1, 2);
    return 1;
}

static int exact_div(lua_State *L) {
    lua_settop(L, 2);
    push_result(L, LUA_OPDIV, 1, 2);
    return 1;
}

static int exact_mod(lua_State *L) {
    lua_settop(L, 2);
    push_result(L, LUA_OPMOD, 1, 2);
    return 1;
}

static int exact_pow(lua_State *L) {
    lua_settop(L, 2);
    push_result(L, LUA_OPPOW, 1, 2);
    return 1;
}

static int exact_negation(lua_State *L) {
    lua_settop(L, 1);
    push_result(L, LUA_OPUNM, 1, 1);
    return 1;
}

static int operator_of(char letter) {
    switch (letter) {
    case '+': return LUA_OPADD;
    case '-': return LUA_OPSUB;
    case '*': return LUA_OPMUL;
    case '/': return LUA_OPDIV;
    case '%': return LUA_OPMOD;
    default: return LUA_OPIDIV;
    }
}

// chain('+-', a, b, c) is a + b - c; `\` stands for //.
static int exact_chain(lua_State *L) {
    const char *operators = lua_tostring(L, 1);
    for (int position = 0; operators[position] != '\0'; position++) {
        push_result(L, operator_of(operators[position]), 2, position + 3);
        lua_replace(L, 2);
    }
    lua_settop(L, 2);
    return 1;
}

// ---- joining

static int exact_join(lua_State *L) {
    int count = lua_gettop(L);
    int64_t byte_count = 0;
    for (int index = 1; index <= count; index++) {
        if (lua_type(L, index) != LUA_TSTRING && !make_text(L, index))
            return fail_evaluation(L, MILLRACE_LUA_ILL_TYPED);
        byte_count += (int64_t)lua_rawlen(L, index);
    }
    charge(L, count + byte_count / 64);
    lua_concat(L, count);
    return 1;
}

// ---- operators that the compiler leaves to Lua, on decimals and on texts that spell numbers

// Upvalue: the operator.
static int other_arithmetic(lua_State *L) {
    int operator = (int)lua_tointeger(L, lua_upvalueindex(1));
    lua_settop(L, 2);
    for (int index = 1; index <= 2; index++)
        if (!make_number(L, index))
            return luaL_error(L, "attempt to perform arithmetic on a %s value", kind_name(L, index));
    push_result(L, operator, 1, operator == LUA_OPUNM ? 1 : 2);
    return 1;
}

static int other_bits(lua_State *L) {
    int operator = (int)lua_tointeger(L, lua_upvalueindex(1));
    lua_settop(L, 2);
    for (int index = 1; index <= 2; index++) {
        if (!make_number(L, index))
            return luaL_error(L, "attempt to perform bitwise operation on a %s value", kind_name(L, index));
        if (!lua_isinteger(L, index)) {
            int is_whole = 0;
            lua_Integer number = lua_tointegerx(L, index, &is_whole);
            if (!is_whole) return luaL_error(L, "number has no integer representation");
            lua_pushinteger(L, number);
            lua_replace(L, index);
        }
    }
    if (operator == LUA_OPBNOT) lua_settop(L, 1);
    lua_arith(L, operator);
    return 1;
}

typedef struct {
    const char *name;
    int operator;
} named_operator;

static void add_operators(
    lua_State *L, const named_operator *operators, size_t count, lua_CFunction function
) {
    for (size_t index = 0; index < count; index++) {
        lua_pushinteger(L, operators[index].operator);
        lua_pushcclosure(L, function, 1);
        lua_setfield(L, -2, operators[index].name);
    }
}

void add_arithmetic(lua_State *L) {
    static const named_operator operators[] = {
        {"__add", LUA_OPADD}, {"__sub", LUA_OPSUB}, {"__mul", LUA_OPMUL},   {"__mod", LUA_OPMOD},
        {"__pow", LUA_OPPOW}, {"__div", LUA_OPDIV}, {"__idiv", LUA_OPIDIV}, {"__unm", LUA_OPUNM},
    };
    add_operators(L, operators, sizeof operators / sizeof operators[0], other_arithmetic);
}

void make_decimal_metatable(lua_State *L) {
    static const named_operator bits[] = {
        {"__band", LUA_OPBAND}, {"__bor", LUA_OPBOR}, {"__bxor", LUA_OPBXOR},
        {"__shl", LUA_OPSHL},   {"__shr", LUA_OPSHR}, {"__bnot", LUA_OPBNOT},
    };
    static const luaL_Reg methods[] = {
        {"__lt", decimal_less},   {"__le", decimal_less_or_equal}, {"__eq", exact_equal},
        {"__concat", exact_join}, {NULL, NULL},
    };
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    add_arithmetic(L);
    add_operators(L, bits, sizeof bits / sizeof bits[0], other_bits);
    // The name in Lua's own messages.
    lua_pushliteral(L, "number");
    lua_setfield(L, -2, "__name");
    sandbox_of(L)->decimal_metatable = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    sandbox_of(L)->decimal_keys = luaL_ref(L, LUA_REGISTRYINDEX);
}

void fill_exact_operators(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"__exact_neg", exact_negation}, {"__exact_chain", exact_chain},
        {"__exact_join", exact_join},    {"__exact_eq", exact_equal},
        {"__exact_ne", exact_unequal},   {"__exact_for", exact_bound},
        {"__exact_numeral", exact_numeral}, {"__exact_add", exact_add},
        {"__exact_sub", exact_sub},      {"__exact_mul", exact_mul},
        {"__exact_div", exact_div},      {"__exact_mod", exact_mod},
        {"__exact_pow", exact_pow},
        {"__exact_idiv", exact_idiv},    {"__exact_lt", exact_less},
        {"__exact_le", exact_less_or_equal}, {"__exact_gt", exact_greater},
        {"__exact_ge", exact_greater_or_equal},
        {NULL, NULL},
    };
    add_functions(L, functions);
}
