/// Measures work: by time in a server, by counting in a simulation, so that it is the same on every machine
/// there.
///
/// Only the difference of two readings has a meaning.
package protocol WorkGauge: Sendable {
    /// The time for which the calling thread has run.
    func threadTime() -> Duration
    /// The time that has passed.
    func elapsedTime() -> Duration
}
