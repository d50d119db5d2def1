import CCurlShim
import Values

/// A request of another thread to the loop.
enum Message {
    case send(Transfer)
    case cancel(UInt64)
    case perform(@Sendable () -> Void)
}

/// The loop's message queue, which wakes the loop only if it sleeps.
final class Inbox: @unchecked Sendable {
    // Unchecked: `messages`, `isSleeping` and `isClosed` are guarded by `lock`.
    private let lock = Lock()
    private var messages: [Message] = []
    private var isSleeping = false
    private var isClosed = false
    private let loop: LoopHandle

    init(loop: LoopHandle) { self.loop = loop }

    /// Appends a message; false if the inbox is closed.
    func post(_ message: Message) -> Bool {
        lock.lock()
        guard !isClosed else {
            lock.unlock()
            return false
        }
        messages.append(message)
        let mustWake = isSleeping
        isSleeping = false
        lock.unlock()
        if mustWake { loop.wake() }
        return true
    }

    /// Refuses further messages; messages posted before are still delivered.
    func close() {
        lock.withLock { isClosed = true }
        loop.wake()
    }

    /// Swaps the messages into `batch`, which must be empty; true if the inbox is closed and nothing will
    /// follow.
    func take(into batch: inout [Message]) -> Bool {
        lock.withLock {
            isSleeping = false
            swap(&messages, &batch)
            return isClosed
        }
    }

    /// Whether the loop may sleep: no message waits, and the next one will wake it.
    func maySleep() -> Bool {
        lock.withLock {
            isSleeping = messages.isEmpty && !isClosed
            return isSleeping
        }
    }
}
