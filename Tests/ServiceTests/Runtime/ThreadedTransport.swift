import Ports
import Values

/// A scripted transport with a thread of its own, as a real one has: it performs actions there, so that none
/// runs on the store's thread.
final class ThreadedTransport: Transport {
    let scripted: ScriptedTransport
    private let thread = ActionThread()

    init(clock: any RunClock) { scripted = ScriptedTransport(clock: clock) }

    func send(
        _ request: OutboundRequest, completion: @escaping @Sendable (TransferOutcome) -> Void
    ) -> TransferID {
        scripted.send(request) { outcome in self.perform { completion(outcome) } }
    }

    func cancel(_ id: TransferID) { scripted.cancel(id) }

    func perform(_ action: @escaping @Sendable () -> Void) { thread.perform(action) }

    func shutDown() { thread.shutDown(finishing: false) }
}
