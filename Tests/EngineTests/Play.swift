import Billing
import Engine
import LuaExpressions
import OpenSSLCrypto
import Ports
import Testing
import Values
import Workflow
import WorkflowYAML

/// A workflow text that a test wrote wrongly.
struct UnfitWorkflow: Error, CustomStringConvertible {
    let description: String
}

let cryptography = OpenSSLCryptography()
/// Without the check of names: random flows read results that are not there, as workflows may that were deployed
/// before the check was made.
private let reader = WorkflowReader(
    compiler: LuaExpressionCompiler(cryptography: cryptography), checksNames: false)

/// A plan of the YAML text; `name`, `version` and `triggers` are added.
func plan(_ yaml: String) throws -> RunPlan {
    let source = Array(("name: play\nversion: 1\ntriggers:\n  - type: http\n" + yaml).utf8)
    let (definition, problems) = DocumentReader.workflow(source, with: reader)
    guard let definition else {
        throw UnfitWorkflow(description: problems.map { "\($0)" }.joined(separator: "\n"))
    }
    return RunPlan(definition: definition, digest: cryptography.sha256(source))
}

/// One run played by hand: inputs in, entries and effects out, as short lines.
struct Play {
    struct Sent {
        var step: String
        var attempt: Int
        var request: OutboundRequest
    }

    static let start = Instant(milliseconds: 1_767_225_600_000)

    let plan: RunPlan
    private(set) var surroundings: Surroundings
    var machine: RunMachine
    var now = Play.start
    var records: [JournalRecord] = []
    var sent: [Sent] = []
    var wakes: [(step: String, at: Instant)] = []
    var finished: [RunOutcome] = []
    var runWakes: [Instant] = []
    var signals: [(step: String, run: String, signal: RunSignal)] = []
    var replies: [RunReply] = []
    var calls: [ChildCall] = []
    var awaited: [(step: String, child: RunID)] = []
    var cancelledChildren: [RunID] = []
    var abandoned: [String] = []

    init(_ yaml: String, secrets: [String: OpenSecrets.Secret] = [:], run: Int64 = 7) throws {
        let plan = try EngineTests.plan(yaml)
        self.init(plan: plan, secrets: secrets, run: run)
    }

    init(plan: RunPlan, secrets: [String: OpenSecrets.Secret] = [:], run: Int64 = 7) {
        self.plan = plan
        surroundings = Self.surroundings(secrets: secrets)
        machine = RunMachine(run: RunID(number: run), plan: plan)
    }

    private static func surroundings(
        secrets: [String: OpenSecrets.Secret], gauge: (any WorkGauge)? = nil, byteCountMax: Int = .max
    ) -> Surroundings {
        Surroundings(
            tenant: TenantID(number: 3), secrets: OpenSecrets(secrets),
            redactor: Redactor(secrets: secrets.values.map(\.value)), cryptography: cryptography,
            gauge: gauge, runByteCountMax: byteCountMax)
    }

    /// From now on the run goes on with these.
    mutating func surround(
        secrets: [String: OpenSecrets.Secret] = [:], gauge: (any WorkGauge)? = nil, byteCountMax: Int = .max
    ) {
        surroundings = Self.surroundings(secrets: secrets, gauge: gauge, byteCountMax: byteCountMax)
    }

    private func id(_ step: Int) -> String { machine.path(of: step) }

    func index(_ step: String) -> Int { machine.position(of: step) }

    // MARK: - Inputs

    /// Feeds an input and returns what it led to, one line for each entry and then each effect.
    @discardableResult
    mutating func feed(_ input: RunInput) -> [String] {
        let decision = machine.handle(input, in: surroundings)
        records += decision.records
        var lines = decision.records.map { line($0) }
        for effect in decision.effects {
            switch effect {
            case .send(let step, let attempt, let request):
                sent.append(Sent(step: id(step), attempt: attempt, request: request))
                lines.append("send \(id(step))#\(attempt)")
            case .abandon(let step):
                abandoned.append(id(step))
                lines.append("abandon \(id(step))")
            case .wake(let step, let instant, _):
                wakes.append((id(step), instant))
                lines.append("wake \(id(step)) +\((instant - now).milliseconds)ms")
            case .wakeRun(let instant):
                runWakes.append(instant)
                lines.append("wake run +\((instant - now).milliseconds)ms")
            case .signal(let step, let run, let signal):
                signals.append((id(step), run, signal))
                lines.append("signal \(signal.name) of \(id(step))")
            case .call(let step, let call):
                calls.append(call)
                lines.append("call \(call.workflow) of \(id(step))")
            case .awaitChild(let step, let child):
                awaited.append((id(step), child))
                lines.append("await \(child.number) of \(id(step))")
            case .cancelChild(let child, _, _):
                cancelledChildren.append(child)
                lines.append("cancel \(child.number)")
            case .reply(let reply):
                replies.append(reply)
                lines.append("reply \(reply.status)")
            case .goOn: lines.append("go on")
            case .finish(let outcome):
                finished.append(outcome)
                lines.append("finish \(outcome.status.rawValue)")
            }
        }
        return lines
    }

    @discardableResult
    mutating func begin(
        body: Value = .null, headers: [HTTPHeader] = [], query: [(name: String, value: String)] = [],
        isFunded: Bool = true, parent: RunParent? = nil, isQueued: Bool = false
    ) -> [String] {
        var start = RunStart(
            triggerKind: "http", headers: [HTTPHeader("content-type", "application/json")] + headers,
            query: query,
            body: JSON.bytes(body), at: now, tenantName: "Acme", externalCustomerID: "cus_1")
        start.parent = parent
        start.isQueued = isQueued
        if isQueued { start.concurrencyKey = "k" }
        return feed(.started(start, isFunded: isFunded))
    }

    /// The step's last request is answered `took` later.
    @discardableResult
    mutating func answer(
        _ step: String, _ status: Int = 200, _ body: Value = .object(Object()), headers: [HTTPHeader] = [],
        attempt: Int? = nil, took: Duration = .milliseconds(10)
    ) -> [String] {
        let response = OutboundResponse(
            status: status, headers: [HTTPHeader("Content-Type", "application/json")] + headers,
            body: JSON.bytes(body))
        return end(step, .success(response), attempt: attempt, took: took)
    }

    @discardableResult
    mutating func end(
        _ step: String, _ result: Result<OutboundResponse, TransportFailure>, attempt: Int? = nil,
        took: Duration = .milliseconds(10)
    ) -> [String] {
        let started = now
        now = now + took
        let number = attempt ?? sent.last { $0.step == step }?.attempt ?? 1
        return feed(
            .answered(
                step: index(step), attempt: number,
                TransferOutcome(result: result, startedAt: started, finishedAt: now)))
    }

    /// The last alarm made for the step rings.
    @discardableResult
    mutating func retry(_ step: String) -> [String] {
        if let wake = wakes.last(where: { $0.step == step }) { now = max(now, wake.at) }
        return feed(.retryDue(step: index(step), at: now))
    }

    /// A signal comes; its id is its name unless one is given.
    @discardableResult
    mutating func signal(_ name: String, id: String? = nil, _ body: Value = .null) -> [String] {
        feed(.signalled(RunSignal(id: id ?? name, name: name, body: body), at: now))
    }

    /// The step's child is durable.
    @discardableResult
    mutating func called(_ step: String, child: Int64) -> [String] {
        feed(.called(step: index(step), child: RunID(number: child), at: now))
    }

    @discardableResult
    mutating func childEnds(_ step: String, child: Int64, _ outcome: RunOutcome) -> [String] {
        feed(.childEnded(step: index(step), child: RunID(number: child), outcome, at: now))
    }

    /// The step's alarm rings that long after the start.
    @discardableResult
    mutating func ring(_ step: String, at instant: Instant) -> [String] {
        now = instant
        return feed(.retryDue(step: index(step), at: now))
    }

    /// The process dies after all that was recorded, and the next one takes over.
    @discardableResult
    mutating func crash() throws -> [String] {
        let stored = try records.map { try JournalRecord(stored: $0.stored) }
        machine = RunMachine(run: machine.state.run, plan: plan, records: stored)
        (sent, wakes, runWakes, calls, awaited, cancelledChildren) = ([], [], [], [], [], [])
        return feed(.recovered(at: now))
    }

    // MARK: - Looking

    private func line(_ record: JournalRecord) -> String {
        switch record.entry {
        case .runStarted: "started"
        case .stepSettled(let path, let result):
            "\(path) \(result.error.map { "failed: \($0.code)" } ?? "succeeded")"
        case .stepSkipped(let path, let reason): "\(path) skipped: \(reason.rawValue)"
        case .attemptFailed(let path, let attempt, let error, _, _, _):
            "\(path)#\(attempt) failed: \(error.code)"
        case .stepOpened(let path, _): "\(path) opened"
        case .stepSleeping(let path, _, _): "\(path) sleeps"
        case .stepWaiting(let path, _, _): "\(path) waits"
        case .stepCalling(let path, let child): "\(path) calls \(child.number)"
        case .runAdmitted: "admitted"
        case .stepsInFlight(let paths): "in flight: \(paths.joined(separator: " "))"
        case .signalReceived(let signal): "signal \(signal.id)"
        case .runTimedOut: "timed out"
        case .runTooLarge: "too large"
        case .outputFailed(let error): "output failed: \(error.code)"
        case .runPaused: "paused"
        case .runResumed: "resumed"
        case .runHeld(let reason): "held: \(reason)"
        case .runReleased: "released"
        case .cancelRequested(let reason): "cancel: \(reason)"
        case .clockStepped(let step): "clock stepped by \(step.milliseconds)ms"
        case .runFinalizing(let outcome): "finalizing: \(outcome.status)"
        case .finallyCut(let error): "finally cut: \(error.code)"
        case .runFinished(let outcome): "finished: \(outcome.status.rawValue)"
        }
    }

    /// State of each step, as the API shows it.
    var steps: [String: String] {
        var states: [String: String] = [:]
        for step in machine.view(errorsIn: records)["steps"]?.array ?? [] {
            states[step["id"]?.text ?? ""] = step["state"]?.text
        }
        return states
    }

    var outcome: RunOutcome? { machine.state.outcome }

    func request(_ step: String) throws -> OutboundRequest {
        try #require(sent.last { $0.step == step }, "no request of \(step)").request
    }

    func error(of step: String) -> StepError? {
        for record in records.reversed() {
            if case .stepSettled(step, let result) = record.entry { return result.error }
        }
        return nil
    }

    var chargedMilliseconds: Int64 { records.reduce(0) { $0 + $1.chargeMilliseconds } }
}
