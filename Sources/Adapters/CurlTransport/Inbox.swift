import CCurlShim
import Values

/// What other threads ask of the loop.
enum Message {
    case send(Transfer)
    case cancel(UInt64)
    case perform(@Sendable () -> Void)
}

/// Hands messages to the loop and wakes it only where it sleeps.
final class Inbox: @unchecked Sendable {
    // Unchecked: `messages`, `isSleeping` and `isClosed` are touched under `lock`.
    private let lock = Lock()
    private var messages: [Message] = []
    private var isSleeping = false
    private var isClosed = false
    private let loop: LoopHandle

    init(loop: LoopHandle) { self.loop = loop }

    /// False where the loop takes nothing any more.
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

    /// Takes no more; what was posted before is still delivered.
    func close() {
        lock.withLock { isClosed = true }
        loop.wake()
    }

    /// Swaps the messages into `batch`, which must be empty; true where nothing will follow.
    func take(into batch: inout [Message]) -> Bool {
        lock.withLock {
            isSleeping = false
            swap(&messages, &batch)
            return isClosed
        }
    }

    /// Whether the loop may sleep: nothing waits, and the next message will wake it.
    func maySleep() -> Bool {
        lock.withLock {
            isSleeping = messages.isEmpty && !isClosed
            return isSleeping
        }
    }
}
