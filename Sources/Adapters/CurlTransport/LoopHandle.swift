import CCurlShim

/// Owns the C loop and keeps it alive as long as anyone may wake it.
final class LoopHandle: @unchecked Sendable {
    // Unchecked: waking is safe from any thread; everything else happens on the loop's thread.
    let pointer: OpaquePointer

    /// - Precondition: Two file descriptors are free.
    init() {
        guard let pointer = millrace_loop_create() else {
            preconditionFailure("no file descriptor is left for the transport")
        }
        self.pointer = pointer
    }

    deinit { millrace_loop_destroy(pointer) }

    func wake() { millrace_loop_wake(pointer) }
}
