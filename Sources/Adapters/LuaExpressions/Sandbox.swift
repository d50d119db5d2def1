import CLuaSandbox
import Ports
import Values

/// One sealed Lua state with its compiled chunks; used by one thread at a time.
final class Sandbox: @unchecked Sendable {
    // Unchecked: SandboxPool lends a sandbox to one caller at a time, under its lock.

    /// The number of chunks after which a sandbox is discarded, so that unused chunks do not accumulate.
    static let chunksMax = 256

    private let lua: OpaquePointer
    private let limits: LuaLimits
    /// References to compiled chunks, by the number of their expression.
    private var chunks: [UInt64: Int32] = [:]
    /// Whether the state must not be used again.
    private(set) var isSpent = false

    /// Nil if memory is short.
    init?(limits: LuaLimits) {
        var host = HostCallbacks.makeHost()
        var bounds = millrace_lua_limits(
            work_units: limits.workUnits, memory_bytes: limits.memoryBytes,
            time_ns: limits.time.microseconds * 1000, nodes_max: limits.resultNodesMax,
            depth_max: min(60, limits.resultDepthMax))
        let functions = SandboxLibrary.makeTable()
        guard let lua = millrace_lua_new(&host, functions, Int32(functions.count), &bounds) else {
            return nil
        }
        self.lua = lua
        self.limits = limits
    }

    deinit { millrace_lua_free(lua) }

    /// The message for a source that does not compile; nil if it compiles.
    ///
    /// The chunk is not kept.
    func compileError(_ source: String) throws(ExpressionFailure) -> String? {
        var reference: Int32 = 0
        let code = load(source, &reference)
        switch Int(code) {
        case MILLRACE_LUA_OK:
            millrace_lua_unload(lua, reference)
            return nil
        case MILLRACE_LUA_RAISED: return message()
        default: throw failure(code)
        }
    }

    /// The value; nil if an exact operator was given a type that it does not accept.
    func evaluate(
        _ source: String, number: UInt64, _ evaluation: Evaluation
    ) throws(ExpressionFailure) -> Value? {
        let reference = try chunk(source, number)
        var result = millrace_lua_value()
        let context = Unmanaged.passUnretained(evaluation).toOpaque()
        let code = withExtendedLifetime(evaluation) {
            millrace_lua_evaluate(lua, reference, context, &result)
        }
        if code == MILLRACE_LUA_OK {
            return try ResultReader(evaluation: evaluation, copiedBytesMax: Int(limits.memoryBytes) * 2)
                .value(result)
        }
        if code == MILLRACE_LUA_ILL_TYPED { return nil }
        if code == MILLRACE_LUA_HOST_FAILED, let failure = evaluation.failure { throw failure }
        throw failure(code)
    }

    private func chunk(_ source: String, _ number: UInt64) throws(ExpressionFailure) -> Int32 {
        if let known = chunks[number] { return known }
        if chunks.count >= Self.chunksMax { isSpent = true }
        var reference: Int32 = 0
        let code = load(source, &reference)
        guard code == MILLRACE_LUA_OK else { throw failure(code) }
        chunks[number] = reference
        return reference
    }

    private func load(_ source: String, _ reference: inout Int32) -> Int32 {
        var source = source
        return source.withUTF8 { bytes in
            guard let start = bytes.baseAddress else { return Int32(MILLRACE_LUA_RAISED) }
            return millrace_lua_load(lua, start, bytes.count, &reference)
        }
    }

    private func failure(_ code: Int32) -> ExpressionFailure {
        switch Int(code) {
        case MILLRACE_LUA_OVER_BUDGET:
            isSpent = true
            return .budgetExceeded
        case MILLRACE_LUA_OVER_MEMORY:
            isSpent = true
            return .memoryExceeded
        case MILLRACE_LUA_NOT_A_VALUE: return .notAValue(reason: message())
        default: return .raised(message: message())
        }
    }

    private func message() -> String {
        var count = 0
        let start = millrace_lua_error(lua, &count)
        return String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
    }
}
