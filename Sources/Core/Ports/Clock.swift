package import Values

/// Identifies an alarm for its cancellation.
package struct AlarmID: Sendable, Hashable {
    package let number: UInt64

    package init(number: UInt64) { self.number = number }
}

/// The time and alarms, real or controlled by a test.
///
/// It has two times, which differ once the machine's clock is stepped (by NTP, an operator, or a resumed
/// virtual machine). ``now()`` tells what time it is; it follows the wall clock, backwards too. ``steady()``
/// measures how much time has passed; it runs at the rate of the wall clock and is never stepped, and neither
/// are alarms after a duration. They differ by ``shift``.
package protocol RunClock: Sendable {
    /// The wall-clock time.
    func now() -> Instant
    /// The wall-clock time as if it had not been stepped since this clock was made; only for differences.
    func steady() -> Instant
    /// How far the wall clock has been stepped since this clock was made; positive for forward.
    ///
    /// A reading of ``now()`` from before the last change of this value is older than the step, a later one
    /// is newer.
    var shift: Duration { get }
    /// Calls `action` once, on a thread of the clock, when the wall clock shows `instant` or later.
    ///
    /// A step of the wall clock moves the alarm. The action must not block for long.
    @discardableResult
    func schedule(at instant: Instant, _ action: @escaping @Sendable () -> Void) -> AlarmID
    /// Like ``schedule(at:_:)``, but after `duration`, whatever steps the wall clock makes.
    @discardableResult
    func schedule(after duration: Duration, _ action: @escaping @Sendable () -> Void) -> AlarmID
    /// Withdraws an alarm; one that has fired or is unknown is ignored.
    func cancel(_ id: AlarmID)
    /// Calls `action` after each step of the wall clock with its size, on a thread of the clock.
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
