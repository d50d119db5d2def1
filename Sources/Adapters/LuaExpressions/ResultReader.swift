import CLuaSandbox
import Ports
import Values

/// Converts a result of Lua to a value; a container of the scope is used as it is, without a copy.
struct ResultReader {
    let evaluation: Evaluation
    /// Most bytes that containers of the scope may add to a table that holds them.
    let copiedBytesMax: Int

    func value(_ result: millrace_lua_value) throws(ExpressionFailure) -> Value {
        switch Int(result.kind) {
        case MILLRACE_LUA_TRUE: return true
        case MILLRACE_LUA_FALSE: return false
        case MILLRACE_LUA_INTEGER: return .int(result.integer)
        case MILLRACE_LUA_FLOAT: return try evaluation.value(of: result.number)
        case MILLRACE_LUA_DECIMAL:
            return .number(
                String(
                    decoding: UnsafeBufferPointer(start: result.bytes, count: result.byte_count),
                    as: UTF8.self))
        case MILLRACE_LUA_TEXT:
            let bytes = UnsafeBufferPointer(start: result.bytes, count: result.byte_count)
            return Value(utf8: bytes)
        case MILLRACE_LUA_NODE: return try evaluation.node(result.node).materialised()
        case MILLRACE_LUA_TABLE:
            guard let bytes = result.bytes else { return nil }
            var reader = TapeReader(bytes: bytes, evaluation: evaluation, copiedBytesMax: copiedBytesMax)
            return try reader.value()
        default: return nil
        }
    }
}
