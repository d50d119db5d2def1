import Engine
import OpenSSLCrypto
package import Ports
import Values
import Workflow

/// One run without network and with a clock of its own: the machine is given its inputs in the order of
/// their times, and what it sends is answered by whoever plays the world.
package struct Simulation {
    /// A request that the run sent.
    package struct Sent: Sendable {
        package var step: String
        package var attempt: Int
        package var request: OutboundRequest
        /// Since the start of the run.
        package var after: Duration
    }

    /// A signal that the run sent to another.
    struct Signal {
        var run: String
        var signal: RunSignal
    }

    /// Something that a person would want to see of a run.
    enum Moment {
        case record(JournalRecord)
        case sent(Sent)
        case called(Called)
        case signalled(Signal)
        case replied(RunReply)
    }

    enum Event {
        case input(RunInput)
        case answered(step: Int, attempt: Int, Result<OutboundResponse, TransportFailure>, startedAt: Instant)
        case wake(step: Int)
    }

    /// A run that has had so many inputs is taken to go round for ever.
    private static let inputCountMax = 100_000

    let plan: RunPlan
    let surroundings: Surroundings
    private let start: Instant
    private(set) var machine: RunMachine
    private(set) var now: Instant
    private var agenda: [(at: Instant, event: Event)] = []
    private var inputCount = 0
    private(set) var records: [JournalRecord] = []
    private(set) var moments: [(after: Duration, moment: Moment)] = []
    private(set) var sent: [Sent] = []
    private(set) var outcome: RunOutcome?
    /// What whoever waits for the run is answered.
    private(set) var reply: RunReply?
    private(set) var signals: [Signal] = []
    private(set) var called: [Called] = []
    var children: [RunID: OpenChild] = [:]
    /// The request or call that nobody answered; the run stops there.
    private(set) var unanswered: Question?

    init(plan: RunPlan, surroundings: Surroundings, at start: Instant) {
        self.plan = plan
        self.surroundings = surroundings
        self.start = start
        now = start
        machine = RunMachine(run: RunID(number: 7), plan: plan)
    }

    /// Virtual time since the start.
    var elapsed: Duration { now - start }

    /// Each step's state as the API shows it, in the order of the file.
    var states: [(step: String, state: String)] {
        (machine.view(errorsIn: records)["steps"]?.array ?? []).map {
            ($0["id"]?.text ?? "", $0["state"]?.text ?? "")
        }
    }

    /// Puts an input on the agenda, for its own time.
    mutating func plan(_ input: RunInput, at instant: Instant) { add(.input(input), at: instant) }

    /// Plays until the run is over, waits for what never comes, or sends what `answer` does not know.
    mutating func play(answer: (Question) -> MockAnswer?) {
        while outcome == nil, unanswered == nil, inputCount < Self.inputCountMax, !agenda.isEmpty {
            let next = agenda.removeFirst()
            now = max(now, next.at)
            inputCount += 1
            feed(input(next.event), answer: answer)
        }
    }

    private func input(_ event: Event) -> RunInput {
        switch event {
        case .input(let input): input
        case .wake(let step): .retryDue(step: step, at: now)
        case .answered(let step, let attempt, let result, let startedAt):
            .answered(
                step: step, attempt: attempt,
                TransferOutcome(result: result, startedAt: startedAt, finishedAt: now))
        }
    }

    /// Behind what is due at the same time.
    mutating func add(_ event: Event, at instant: Instant) {
        let index = agenda.firstIndex { $0.at > instant } ?? agenda.endIndex
        agenda.insert((instant, event), at: index)
    }

    mutating func note(_ call: Called) {
        called.append(call)
        moments.append((elapsed, .called(call)))
    }

    mutating func stop(at question: Question) { unanswered = question }

    private mutating func feed(_ input: RunInput, answer: (Question) -> MockAnswer?) {
        let decision = machine.handle(input, in: surroundings)
        records += decision.records
        moments += decision.records.map { (elapsed, .record($0)) }
        for effect in decision.effects where unanswered == nil {
            switch effect {
            case .send(let step, let attempt, let request): send(step, attempt, request, answer: answer)
            case .abandon: break
            case .wake(let step, let instant, _): add(.wake(step: step), at: instant)
            case .goOn: add(.input(.resumed(at: now)), at: now)
            case .wakeRun(let instant): add(.input(.timeoutDue(at: instant)), at: instant)
            case .signal(let step, let run, let signal):
                let sending = Signal(run: run, signal: signal)
                signals.append(sending)
                moments.append((elapsed, .signalled(sending)))
                add(.input(.delivered(step: step, error: nil, at: now)), at: now)
            case .call(let step, let call): self.call(step, call, answer: answer)
            case .awaitChild(_, let child): awaitEnd(of: child)
            case .cancelChild(let child, let reason, _): cancel(child, reason)
            case .reply(let reply):
                guard self.reply == nil else { break }
                self.reply = reply
                moments.append((elapsed, .replied(reply)))
            case .finish(let outcome): self.outcome = outcome
            }
        }
    }

    private mutating func send(
        _ step: Int, _ attempt: Int, _ request: OutboundRequest, answer: (Question) -> MockAnswer?
    ) {
        let id = machine.path(of: step)
        let sending = Sent(step: id, attempt: attempt, request: request, after: elapsed)
        sent.append(sending)
        moments.append((elapsed, .sent(sending)))
        guard let answer = answer(.request(sending)), case .response(let result) = answer.reply else {
            return stop(at: .request(sending))
        }
        add(.answered(step: step, attempt: attempt, result, startedAt: now), at: now + answer.took)
    }
}
