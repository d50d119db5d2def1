import Ports
import Values

/// Sandboxes not in use.
final class SandboxPool: @unchecked Sendable {
    // Unchecked: `idle` is guarded by `lock`.

    /// Most idle sandboxes, more than the threads that evaluate at once; further ones are freed after use.
    private static let idleMax = 16

    private let limits: LuaLimits
    private let lock = Lock()
    private var idle: [Sandbox] = []

    init(limits: LuaLimits) { self.limits = limits }

    /// Lends a sandbox to `body`; a spent one is discarded afterwards.
    ///
    /// - Throws: ``ExpressionFailure/memoryExceeded`` if no sandbox can be made, and what `body` throws.
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
