import Clocks
import CurlTransport
import Ports
import Values

/// Times each step from being sent to the next one being sent, which is not before its outcome is
/// durable; the last one to the end of its run.
final class Stopwatch: @unchecked Sendable {
    // Unchecked: both are read and written under `lock`.
    private let lock = Lock()
    private var sentAt: [String: ContinuousClock.Instant] = [:]
    private var measured: [Int64] = []

    var microseconds: [Int64] { lock.withLock { measured } }

    func send(_ run: String) {
        let now = ContinuousClock.now
        lock.withLock {
            if let before = sentAt.updateValue(now, forKey: run) {
                measured.append((now - before).microseconds)
            }
        }
    }

    func finish(_ run: RunID) {
        let now = ContinuousClock.now
        lock.withLock {
            guard let before = sentAt.removeValue(forKey: run.description) else { return }
            measured.append((now - before).microseconds)
        }
    }
}

struct MeasuringTransport: Transport {
    let transport: CurlTransport
    let stopwatch: Stopwatch

    func send(_ request: OutboundRequest, completion: @escaping @Sendable (TransferOutcome) -> Void)
        -> TransferID
    {
        if let run = request.headers["millrace-run"] { stopwatch.send(run) }
        return transport.send(request, completion: completion)
    }

    func cancel(_ id: TransferID) { transport.cancel(id) }
    func perform(_ action: @escaping @Sendable () -> Void) { transport.perform(action) }
    func shutDown() { transport.shutDown() }
}

/// A run's id, known once its start is durable and before it is over.
final class StartedRun: @unchecked Sendable {
    // Unchecked: `value` is read and written under `lock`.
    private let lock = Lock()
    private var value: RunID?

    var run: RunID? {
        get { lock.withLock { value } }
        set { lock.withLock { value = newValue } }
    }
}
