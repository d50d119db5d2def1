import CSystem
import Glibc

/// SIGTERM and SIGINT, taken by one thread that waits for them.
package enum TerminationSignals {
    /// Keeps both from ending the process, and makes a peer that leaves, or a file that may not grow,
    /// an error of writing.
    ///
    /// Holds for the calling thread and all it starts later: call it before the first thread starts.
    package static func block() {
        millrace_block_termination_signals()
        millrace_ignore_sigpipe()
        _ = signal(SIGXFSZ, SIG_IGN)
    }

    /// Waits for one of them, which must have been blocked.
    package static func wait() { _ = millrace_wait_for_termination_signal() }
}
