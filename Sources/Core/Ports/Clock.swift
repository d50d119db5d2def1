package import Values

/// Names one alarm for cancelling it.
package struct AlarmID: Sendable, Hashable {
    package let number: UInt64

    package init(number: UInt64) { self.number = number }
}

/// The time, and alarms; real or turned by a test.
///
/// It answers two questions that differ once the machine's clock is stepped (by NTP, an operator, or a virtual
/// machine that is resumed). What time is it: ``now()`` follows the wall clock, also backwards. How much time has
/// passed: ``steady()`` runs at the rate of the wall clock and is never stepped, and so do alarms after a
/// duration. The two differ by ``shift``.
package protocol RunClock: Sendable {
    /// The time by the wall clock.
    func now() -> Instant
    /// The wall clock as if it had not been stepped since this clock was made; only for differences.
    func steady() -> Instant
    /// By how much the wall clock has been stepped since this clock was made, positive for forwards.
    ///
    /// A reading of ``now()`` made before this value last changed is older than the step, one made after is newer.
    var shift: Duration { get }
    /// Calls `action` once, when the wall clock shows `instant` or a later time, on a thread of the clock; it must
    /// not block for long.
    ///
    /// A step of the wall clock moves the alarm.
    @discardableResult
    func schedule(at instant: Instant, _ action: @escaping @Sendable () -> Void) -> AlarmID
    /// As ``schedule(at:_:)``, once `duration` has passed, however the wall clock is stepped meanwhile.
    @discardableResult
    func schedule(after duration: Duration, _ action: @escaping @Sendable () -> Void) -> AlarmID
    /// Withdraws an alarm; one that has fired or is unknown is ignored.
    func cancel(_ id: AlarmID)
    /// Calls `action` after each step of the wall clock with how far it went, on a thread of the clock.
    func whenStepped(_ action: @escaping @Sendable (Duration) -> Void)
    /// Drops all alarms and ends the clock's thread; none fires after this returns.
    func shutDown()
}

/// A clock that is never stepped.
extension RunClock {
    package func steady() -> Instant { now() }
    package var shift: Duration { .zero }

    @discardableResult
    package func schedule(
        after duration: Duration, _ action: @escaping @Sendable () -> Void
    ) -> AlarmID { schedule(at: now() + duration, action) }

    package func whenStepped(_ action: @escaping @Sendable (Duration) -> Void) {}
}
