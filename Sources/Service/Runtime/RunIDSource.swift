import Values

/// Gives out run ids that rise with time and never repeat, also across restarts and clock jumps.
final class RunIDSource: @unchecked Sendable {
    // Unchecked: `last` is read and written under `lock`.
    private let lock = Lock()
    private var last: Int64
    /// 2020-01-01T00:00:00Z.
    private static let epochMilliseconds: Int64 = 1_577_836_800_000

    /// - Parameter newest: The greatest id that was ever stored.
    init(after newest: RunID?) { last = newest?.number ?? 0 }

    func next(at instant: Instant) -> RunID {
        let floor = max(0, instant.milliseconds - Self.epochMilliseconds) << 20
        return lock.withLock {
            last = max(last + 1, floor)
            return RunID(number: last)
        }
    }
}
