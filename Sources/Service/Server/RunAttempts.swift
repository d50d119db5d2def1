import Engine
import Ingress
import Ports
import Runtime
import Storage
import Values

/// Answers `GET /api/runs/{id}/attempts`: what a run has sent and what came back.
struct RunAttempts {
    let runtime: Runtime
    let call: Call

    /// Bytes of a body that are shown; of more, the count is.
    private static let bodyByteCountMax = 16 << 10

    func list(_ record: RunRecord) throws(Refusal) -> InboundResponse {
        let limit = try call.limit()
        let after = try call.cursor(Call.wholeNumber) ?? 0
        guard runtime.allowance.admits(record.tenant) else {
            let wait = runtime.allowance.wait(of: record.tenant)
            throw Refusal(TriggerAnswer.answer(to: .computedTooMuch(retryAfter: wait)))
        }
        let selection = AttemptReplay.Selection(step: call.query("step"), after: after, limit: limit + 1)
        let page = try storing { () throws(StoreError) in try runtime.attempts(of: record, selection) }
        if let problem = page.problem { throw Refusal(409, "run_unreadable", problem) }
        // Those in flight have no place in the journal, so a page never ends between them and it.
        let shown = page.attempts.prefix(limit)
        let next = page.attempts.count > limit ? shown.last?.sequence : nil
        return Answer.list(shown.map(Self.value), next: next.map(String.init))
    }

    private static func value(_ attempt: AttemptReplay.Attempt) -> Value {
        [
            "sequence": attempt.sequence.map { .int($0) } ?? .null, "step": .string(attempt.step),
            "attempt": .int(Int64(attempt.number)), "outcome": .string(outcome(attempt)),
            "started_at": .string(attempt.startedAt.text),
            "ended_at": attempt.endedAt.map { .string($0.text) } ?? .null,
            "duration_ms": attempt.endedAt.map { .int(max(0, ($0 - attempt.startedAt).milliseconds)) }
                ?? .null,
            "sent": attempt.sent.map(value) ?? .null, "note": attempt.note.map { .string($0) } ?? .null,
            "received": attempt.received.map(value) ?? .null,
            "error": attempt.error.map { ["code": .string($0.code), "message": .string($0.message)] }
                ?? .null,
            "retry_at": attempt.retryAt.map { .string($0.text) } ?? .null,
        ]
    }

    private static func outcome(_ attempt: AttemptReplay.Attempt) -> String {
        if attempt.endedAt == nil { return "in_flight" }
        if attempt.retryAt != nil { return "repeated" }
        return attempt.error == nil ? "succeeded" : "failed"
    }

    private static func value(_ request: OutboundRequest) -> Value {
        [
            "method": .string(request.method), "url": .string(request.url),
            "headers": headers(request.headers), "body": body(request.body),
            "body_bytes": .int(Int64(request.body.count)),
        ]
    }

    private static func value(_ response: OutboundResponse) -> Value {
        [
            "status": .int(Int64(response.status)), "headers": headers(response.headers),
            "body": body(response.body), "body_bytes": .int(Int64(response.body.count)),
        ]
    }

    private static func headers(_ headers: [HTTPHeader]) -> Value {
        .array(headers.map { [.string($0.name), .string($0.value)] })
    }

    /// The beginning of a body: text, or `{"base64": …}` for what is no text; null for none.
    private static func body(_ bytes: [UInt8]) -> Value {
        guard !bytes.isEmpty else { return .null }
        var shown = Array(bytes.prefix(bodyByteCountMax))
        if shown.count < bytes.count {
            // Not in the middle of a character.
            while let last = shown.last, last & 0xC0 == 0x80 { shown.removeLast() }
            if let last = shown.last, last >= 0xC0 { shown.removeLast() }
        }
        if let text = String(validating: shown, as: UTF8.self) { return .string(text) }
        return ["base64": .string(Base64.encode(Array(bytes.prefix(bodyByteCountMax))))]
    }
}
