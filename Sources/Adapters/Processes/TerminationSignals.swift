import CSystem
import Glibc

/// SIGTERM and SIGINT, received by one waiting thread.
package enum TerminationSignals {
    /// Blocks both signals, and turns SIGPIPE and SIGXFSZ into write errors.
    ///
    /// Applies to the calling thread and to all threads that it starts later; call it before the first thread
    /// starts.
    package static func block() {
        millrace_block_termination_signals()
        millrace_ignore_sigpipe()
        _ = signal(SIGXFSZ, SIG_IGN)
    }

    /// Waits for one of the two signals, which must be blocked.
    package static func wait() { _ = millrace_wait_for_termination_signal() }
}
