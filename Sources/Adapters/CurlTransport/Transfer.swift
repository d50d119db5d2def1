import CCurlShim
import Ports
import Values

/// One request in transit, from `send` to its completion.
final class Transfer: @unchecked Sendable {
    // Unchecked: constants are set before the transfer is handed over; the rest is used on the loop's thread
    // only.
    let id: UInt64
    let request: OutboundRequest
    /// The result of the check made before the transfer was handed over, or why it cannot be sent.
    let check: Result<RequestCheck, RequestCheck.Refusal>
    private let completion: @Sendable (TransferOutcome) -> Void

    var isOver = false
    /// The loop's turn in which this transfer was accepted.
    var turn: UInt64 = 0
    var startedAt: Instant?
    var pool: ConnectionPool?
    var lane: Lane?
    /// When the loop accepted this transfer.
    var acceptedAt: Instant?
    /// Kept alive here as long as libcurl may call the address check.
    var rules: EgressRules?
    var exchange: UnsafeMutablePointer<millrace_exchange>?

    init(id: UInt64, request: OutboundRequest, completion: @escaping @Sendable (TransferOutcome) -> Void) {
        self.id = id
        self.request = request
        self.completion = completion
        self.check = Result { () throws(RequestCheck.Refusal) in try RequestCheck(request) }
    }

    /// Calls the completion once; later calls do nothing.
    func complete(_ result: Result<OutboundResponse, TransportFailure>, at now: Instant) {
        guard !isOver else { return }
        isOver = true
        completion(TransferOutcome(result: result, startedAt: startedAt ?? now, finishedAt: now))
    }
}
