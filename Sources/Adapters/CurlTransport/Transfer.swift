import CCurlShim
import Ports
import Values

/// One request on its way, from `send` to its completion.
final class Transfer: @unchecked Sendable {
    // Unchecked: the constants are set before it is handed over; the rest belongs to the loop's thread.
    let id: UInt64
    let request: OutboundRequest
    /// What was found before it was handed over, or why it cannot be sent.
    let check: Result<RequestCheck, RequestCheck.Refusal>
    private let completion: @Sendable (TransferOutcome) -> Void

    var isOver = false
    /// Of the loop, in which it was taken in.
    var turn: UInt64 = 0
    var startedAt: Instant?
    var pool: ConnectionPool?
    var lane: Lane?
    /// When it came to the loop.
    var acceptedAt: Instant?
    /// Kept alive here for as long as curl may ask for a decision.
    var rules: EgressRules?
    var exchange: UnsafeMutablePointer<millrace_exchange>?

    init(id: UInt64, request: OutboundRequest, completion: @escaping @Sendable (TransferOutcome) -> Void) {
        self.id = id
        self.request = request
        self.completion = completion
        self.check = Result { () throws(RequestCheck.Refusal) in try RequestCheck(request) }
    }

    /// Calls the completion, once; later calls do nothing.
    func complete(_ result: Result<OutboundResponse, TransportFailure>, at now: Instant) {
        guard !isOver else { return }
        isOver = true
        completion(TransferOutcome(result: result, startedAt: startedAt ?? now, finishedAt: now))
    }
}
