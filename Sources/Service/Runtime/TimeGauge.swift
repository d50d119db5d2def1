import Glibc
import Ports

/// Measures work by time: what a server does.
package struct TimeGauge: WorkGauge {
    private let start = ContinuousClock.now

    package init() {}

    package func threadTime() -> Duration {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }

    package func elapsedTime() -> Duration { ContinuousClock.now - start }
}
