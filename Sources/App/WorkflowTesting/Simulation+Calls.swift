package import Engine
import Ports
import Values

// Children: a simulation plays one run alone, so what it calls is answered as a request is.

extension Simulation {
    /// A child that the run asked for.
    package struct Called: Sendable {
        package var step: String
        package var call: ChildCall
        /// Since the start of the run.
        package var after: Duration
    }

    /// What the world is asked for.
    package enum Question: Sendable {
        case request(Sent)
        case child(Called)

        /// Path of the step that asks.
        package var step: String {
            switch self {
            case .request(let sent): sent.step
            case .child(let called): called.step
            }
        }
    }

    /// A child on its way to its end.
    struct OpenChild {
        var step: Int
        var outcome: RunOutcome
        var endsAt: Instant
    }

    mutating func call(_ step: Int, _ call: ChildCall, answer: (Question) -> MockAnswer?) {
        let called = Called(step: call.parent.step, call: call, after: elapsed)
        note(called)
        // Nobody waits for a detached child, so a case need not say how it ends.
        let given = answer(.child(called))
        guard given != nil || call.parent.isDetached else { return stop(at: .child(called)) }
        let took = given?.took ?? .zero
        switch given?.reply {
        case .notCalled(let error):
            add(.input(.notCalled(step: step, error: error, at: now + took)), at: now + took)
        case .child(let outcome): start(step, outcome, endsAt: now + took)
        case nil, .response: start(step, RunOutcome(status: .succeeded), endsAt: now + took)
        }
    }

    private mutating func start(_ step: Int, _ outcome: RunOutcome, endsAt: Instant) {
        let child = RunID(number: 1_000 + Int64(children.count))
        children[child] = OpenChild(step: step, outcome: outcome, endsAt: endsAt)
        add(.input(.called(step: step, child: child, at: now)), at: now)
    }

    mutating func awaitEnd(of child: RunID) {
        guard let open = children[child] else { return }
        let at = max(now, open.endsAt)
        add(.input(.childEnded(step: open.step, child: child, open.outcome, at: at)), at: at)
    }

    mutating func cancel(_ child: RunID, _ reason: String) {
        guard let open = children[child] else { return }
        let outcome = RunOutcome(status: .cancelled, error: StepError(code: "cancelled", message: reason))
        add(.input(.childEnded(step: open.step, child: child, outcome, at: now)), at: now)
    }
}
