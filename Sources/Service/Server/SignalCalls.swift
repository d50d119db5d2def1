import Engine
import Ports
import Runtime
import Storage
import Values

/// Answers signals to runs: from the run's own tenant, or from whoever holds the run's token.
struct SignalCalls {
    let runtime: Runtime

    /// Signals are kept in the run's memory until a step takes them.
    private static let bodyByteCountMax = 64 << 10

    /// `POST /api/runs/{id}/signals/{name}`, with a key of the tenant.
    func signal(_ call: Call, run: RunID, name: String) throws(Refusal) {
        try give(call.request, to: run, of: call.tenant.tenant, name: name, tellsWhyStuck: true, call.respond)
    }

    /// `POST /signals/{run}/{token}/{name}`: the token opens this run and nothing else.
    ///
    /// One answer for every unknown run and wrong token.
    func signalByToken(
        _ request: InboundRequest, _ path: [String], _ respond: @escaping @Sendable (InboundResponse) -> Void
    ) {
        guard request.method == "POST" else { return respond(Answer.methodNotAllowed("POST")) }
        guard let run = RunID(path[1]), runtime.isSignalToken(path[2], for: run),
            let tenant = runtime.tenant(ofOpen: run)
        else {
            return respond(Answer.notFound)
        }
        do throws(Refusal) { try give(request, to: run, of: tenant, name: path[3], respond) } catch {
            respond(error.response)
        }
    }

    private func give(
        _ request: InboundRequest, to run: RunID, of tenant: TenantID, name: String,
        tellsWhyStuck: Bool = false,
        _ respond: @escaping @Sendable (InboundResponse) -> Void
    ) throws(Refusal) {
        guard RunSignal.isName(name) else {
            throw Refusal(
                422, "signal_name", "a signal's name is a-z, 0-9 and _, starting with a letter, at most 64")
        }
        guard request.body.count <= Self.bodyByteCountMax else {
            throw Refusal(
                413, "signal_too_large", "a signal's body has at most \(Self.bodyByteCountMax) bytes")
        }
        let signal = RunSignal(id: try id(of: request), name: name, body: try body(of: request))
        runtime.signal(run, of: tenant, signal) { [runtime] result in
            if tellsWhyStuck, result == .runOver, let problem = runtime.whyStuck(run) {
                let message = "the run cannot continue, and the signal was not stored: \(problem)"
                return respond(Answer.error(409, "run_unreadable", message))
            }
            respond(Self.answer(to: result, name))
        }
    }

    /// The sender's Idempotency-Key makes a repeat the same signal; without one each is its own.
    private func id(of request: InboundRequest) throws(Refusal) -> String {
        try request.idempotencyKey().map { "key:" + $0 } ?? runtime.newSignalID()
    }

    private func body(of request: InboundRequest) throws(Refusal) -> Value {
        do throws(BodyProblem) {
            return try BodyReader.read(
                request.body, contentType: request.headers["content-type"],
                contentEncoding: request.headers["content-encoding"], untyped: .json)
        } catch {
            throw Refusal(400, "malformed_body", error.message(about: "the body"))
        }
    }

    private static func answer(to result: SignalResult, _ name: String) -> InboundResponse {
        switch result {
        case .stored: Answer.json(202, ["duplicate": false])
        case .duplicate: Answer.json(202, ["duplicate": true])
        case .runOver: Answer.error(409, "run_over", "the run is over: the signal was not kept")
        case .notAwaited(let names):
            Answer.error(422, "signal_not_awaited", SignalResult.notAwaitedMessage(name, among: names))
        case .full:
            Answer.error(
                429, "mailbox_full", "the run keeps as many unread signals as it may: the signal was not kept"
            )
        }
    }
}
