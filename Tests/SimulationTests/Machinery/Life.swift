/// Whether a simulated process is alive.
///
/// Every call that leaves the process goes through here, so that a fuse can end it between any two of them:
/// the code above goes on to the end of what it is doing, but nothing of it reaches the world any more.
final class Life: @unchecked Sendable {
    // Unchecked: used by one thread.
    private(set) var isOver = false
    /// Calls that are still let through; nil for no end.
    private var fuse: Int?
    private let onDeath: @Sendable (String) -> Void

    init(onDeath: @escaping @Sendable (String) -> Void) { self.onDeath = onDeath }

    func end(_ cause: String) {
        guard !isOver else { return }
        isOver = true
        onDeath(cause)
    }

    func light(fuse: Int) { self.fuse = fuse }

    /// Whether a call still leaves the process.
    func spend(_ call: String) -> Bool {
        if isOver { return false }
        guard let left = fuse else { return true }
        if left <= 0 {
            end("before \(call)")
            return false
        }
        fuse = left - 1
        return true
    }
}
