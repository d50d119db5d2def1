import Billing
package import Ports
package import Values
import Workflow

/// Rebuilds the requests of a run from its journal, for people, because sent requests are not stored.
///
/// A request depends only on the entries before it, so folding those builds it again. Secrets are never used:
/// ``Surroundings`` contains placeholders, and the redactor removes these as it would remove the secrets. So
/// a value that an expression computes from a secret differs from the one that was sent.
package struct AttemptReplay {
    /// One attempt, as people see it.
    package struct Attempt: Sendable {
        /// The sequence of the entry that ended it; nil while it is in flight.
        package var sequence: Int64?
        package var step: String
        package var number: Int
        package var startedAt: Instant
        /// The time that its expressions got from `time.now()`; nil if they did not ask.
        var madeAt: Instant?
        package var endedAt: Instant?
        package var sent: OutboundRequest?
        /// Why ``sent`` is nil.
        package var note: String?
        /// The recorded response; nil if there was none or it was not kept.
        package var received: OutboundResponse?
        package var error: StepError?
        /// When the next attempt was due.
        package var retryAt: Instant?
    }

    /// The attempts to return.
    package struct Selection: Sendable {
        /// A step's path; nil for all steps.
        package var step: String?
        /// Only attempts whose entry comes after this sequence.
        package var after: Int64
        package var limit: Int

        package init(step: String? = nil, after: Int64 = 0, limit: Int) {
            self.step = step
            self.after = after
            self.limit = limit
        }
    }

    private var machine: RunMachine
    private let surroundings: Surroundings
    /// Used if the first one cannot build a request; its placeholders are URLs, for secrets that are URLs.
    private let alternative: Surroundings?
    /// Shared by all rebuilt requests.
    private let meter: EvaluationMeter
    private static let workMax = Duration.milliseconds(250)

    /// - Parameters:
    ///   - run: The run.
    ///   - plan: The run's plan.
    ///   - surroundings: Contains placeholders for secrets, and a redactor that removes them.
    ///   - alternative: The same with URLs as placeholders.
    package init(run: RunID, plan: RunPlan, surroundings: Surroundings, alternative: Surroundings? = nil) {
        machine = RunMachine(run: run, plan: plan)
        self.surroundings = surroundings
        self.alternative = alternative
        meter = EvaluationMeter(limit: Self.workMax, gauge: surroundings.gauge)
    }

    /// The attempts recorded in a journal, oldest first.
    package mutating func attempts(
        in records: some Sequence<JournalRecord>, _ selection: Selection
    ) -> [Attempt] {
        var found: [Attempt] = []
        for record in records {
            if found.count == selection.limit { break }
            // Before the entry is folded, because the request was made from the state before it.
            if record.sequence > selection.after, var attempt = Self.attempt(ofEntry: record) {
                if selection.step.map({ $0.hasSameBytes(as: attempt.step) }) ?? true {
                    rebuild(&attempt)
                    found.append(attempt)
                }
            }
            machine.state.apply(record, plan: machine.plan)
        }
        return found
    }

    /// The attempts of a live run that are in flight and therefore not recorded yet.
    package static func inFlight(
        of live: RunMachine, step: String?, limit: Int, in surroundings: Surroundings,
        alternative: Surroundings? = nil
    ) -> [Attempt] {
        var replay = AttemptReplay(
            run: live.state.run, plan: live.plan, surroundings: surroundings, alternative: alternative)
        replay.machine = live
        var found: [Attempt] = []
        for index in live.state.nodes.indices where found.count < limit {
            guard case .inFlight(let number) = live.state.phase(index),
                case .request = live.plan.steps[live.state.nodes[index].step].action
            else { continue }
            let path = live.path(of: index)
            guard step.map({ $0.hasSameBytes(as: path) }) ?? true else { continue }
            let node = live.state.nodes[index]
            var attempt = Attempt(step: path, number: number, startedAt: node.sentAt, madeAt: node.madeAt)
            replay.rebuild(&attempt)
            found.append(attempt)
        }
        return found
    }

    /// The attempt that an entry ends; nil for any other entry.
    private static func attempt(ofEntry record: JournalRecord) -> Attempt? {
        switch record.entry {
        case .attemptFailed(let path, let number, let error, let interval, let retryAt, let madeAt):
            return Attempt(
                sequence: record.sequence, step: path, number: number, startedAt: interval.start,
                madeAt: madeAt, endedAt: interval.end, error: error, retryAt: retryAt)
        case .stepSettled(let path, let result):
            // A copied result was sent by another run.
            guard result.attemptCount > 0, !result.isCopied, let interval = result.interval else {
                return nil
            }
            var attempt = Attempt(
                sequence: record.sequence, step: path, number: result.attemptCount,
                startedAt: interval.start, madeAt: result.madeAt, endedAt: interval.end, error: result.error)
            if case .response(let response) = result.content { attempt.received = response }
            return attempt
        default: return nil
        }
    }

    private func rebuild(_ attempt: inout Attempt) {
        guard let index = machine.state.node(attempt.step, machine.plan),
            case .request(let template) = machine.plan.steps[machine.state.nodes[index].step].action
        else {
            attempt.note = "the workflow has no such request"
            return
        }
        guard !meter.isExhausted else {
            attempt.note = "the expressions before took all the time there is: ask for this step alone"
            return
        }
        do throws(RequestFailure) {
            attempt.sent = try request(template, attempt, index, surroundings)
        } catch {
            attempt.sent = alternative.flatMap { try? request(template, attempt, index, $0) }
            guard attempt.sent == nil else { return }
            attempt.note =
                "it cannot be built without the secrets: "
                + Redaction(surroundings.redactor, machine.state.sensitive).redact(error.message)
        }
    }

    private func request(
        _ template: RequestTemplate, _ attempt: Attempt, _ index: Int, _ surroundings: Surroundings
    ) throws(RequestFailure) -> OutboundRequest {
        let madeAt = attempt.madeAt ?? attempt.startedAt
        let builder = RequestBuilder(
            template: template, stepPath: attempt.step, run: machine.state.run, attempt: attempt.number,
            scope: scope(of: index, surroundings, at: madeAt), surroundings: surroundings, at: madeAt)
        return Self.shown(try builder.request(), Redaction(surroundings.redactor, machine.state.sensitive))
    }

    private func scope(of index: Int, _ surroundings: Surroundings, at madeAt: Instant) -> RunScope {
        let node = machine.state.nodes[index]
        return RunScope(
            state: machine.state, plan: machine.plan, surroundings: surroundings,
            frame: machine.state.scopeFrame(of: index), item: node.item > 0 ? node.undone ?? index : nil,
            node: index, response: nil, meter: meter, at: madeAt)
    }

    // MARK: - Redaction

    private static func shown(_ request: OutboundRequest, _ secrets: Redaction) -> OutboundRequest {
        var shown = request
        shown.url = secrets.redact(request.url)
        shown.headers = request.headers.map {
            HTTPHeader($0.name, shownValue(of: $0.name, secrets.redact($0.value)))
        }
        shown.body = secrets.redact(body: request.body, contentType: request.headers["content-type"])
        return shown
    }

    /// Hides credentials even if they contain no secret, because a token may come from an earlier response.
    private static func shownValue(of name: String, _ value: String) -> String {
        switch name.lowercased() {
        case "authorization", "proxy-authorization":
            let scheme = value.prefix { $0 != " " }
            return scheme.count == value.count ? "[secret]" : "\(scheme) [secret]"
        case "cookie", "x-api-key": return "[secret]"
        case "signature": return "[not kept]"
        default: return value
        }
    }
}
