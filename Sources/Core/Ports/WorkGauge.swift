/// Tells how much work has been done: by time in a server, by counting in a simulation, where the same work
/// must measure the same on every machine.
///
/// Only the difference of two readings means something.
package protocol WorkGauge: Sendable {
    /// Time for which the calling thread has run.
    func threadTime() -> Duration
    /// Time that has passed for everyone.
    func elapsedTime() -> Duration
}
