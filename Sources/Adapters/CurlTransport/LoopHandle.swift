import CCurlShim

/// Owns the C loop; lives as long as anyone may wake it.
final class LoopHandle: @unchecked Sendable {
    // Unchecked: waking is safe from any thread; the rest is for the loop's thread.
    let pointer: OpaquePointer

    /// - Precondition: The system has two file descriptors left.
    init() {
        guard let pointer = millrace_loop_create() else {
            preconditionFailure("no file descriptor is left for the transport")
        }
        self.pointer = pointer
    }

    deinit { millrace_loop_destroy(pointer) }

    func wake() { millrace_loop_wake(pointer) }
}
