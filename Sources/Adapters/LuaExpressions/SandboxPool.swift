import Ports
import Values

/// Sandboxes that are not in use.
final class SandboxPool: @unchecked Sendable {
    // Unchecked: `idle` is read and written under `lock`.

    /// More than threads that evaluate at once; beyond it a sandbox is freed after use.
    private static let idleMax = 16

    private let limits: LuaLimits
    private let lock = Lock()
    private var idle: [Sandbox] = []

    init(limits: LuaLimits) { self.limits = limits }

    /// Lends a sandbox to `body`; a spent one is thrown away afterwards.
    func withSandbox<Result>(
        _ body: (Sandbox) throws(ExpressionFailure) -> Result
    ) throws(ExpressionFailure) -> Result {
        guard let sandbox = lock.withLock({ idle.popLast() }) ?? Sandbox(limits: limits) else {
            throw .memoryExceeded
        }
        defer {
            if !sandbox.isSpent {
                lock.withLock { if idle.count < Self.idleMax { idle.append(sandbox) } }
            }
        }
        return try body(sandbox)
    }
}
