package import Values

/// Names one alarm for cancelling it.
package struct AlarmID: Sendable, Hashable {
    package let number: UInt64

    package init(number: UInt64) { self.number = number }
}

/// The time, and alarms at an instant; real or turned by a test.
package protocol RunClock: Sendable {
    /// The current time. Never runs backwards within one process, though it follows the wall clock's rate.
    func now() -> Instant
    /// Calls `action` once, at or after `instant`, on a thread of the clock; it must not block for long.
    @discardableResult
    func schedule(at instant: Instant, _ action: @escaping @Sendable () -> Void) -> AlarmID
    /// Withdraws an alarm; one that has fired or is unknown is ignored.
    func cancel(_ id: AlarmID)
    /// Drops all alarms and ends the clock's thread; none fires after this returns.
    func shutDown()
}
