import CSystem

/// SIGTERM and SIGINT, taken by one thread that waits for them.
package enum TerminationSignals {
    /// Keeps both from ending the process in the calling thread and all it starts later, and makes a peer
    /// that leaves an error of writing. Call it before the first thread starts.
    package static func block() {
        millrace_block_termination_signals()
        millrace_ignore_sigpipe()
    }

    /// Waits for one of them. They must have been blocked.
    package static func wait() { _ = millrace_wait_for_termination_signal() }
}
