import Engine
import Ports
package import Values
import Workflow

/// What a run would do and send, moment by moment.
package struct Rehearsal {
    let simulation: Simulation

    package var hasSucceeded: Bool { simulation.outcome?.status == .succeeded }

    /// One line a moment, with the time since the start, and the requests as they would be sent.
    package var text: String {
        var shown = simulation.moments.flatMap { after, moment in
            lines(moment).enumerated().map { index, line in
                (index == 0 ? "+\(DurationText.write(after))" : "").padded(to: 10) + line
            }
        }
        if simulation.outcome == nil {
            shown.append("the run goes on: nothing more comes by itself")
        }
        return shown.joined(separator: "\n")
    }

    private func lines(_ moment: Simulation.Moment) -> [String] {
        switch moment {
        case .record(let record): lines(record.entry)
        case .sent(let sent): lines(sent)
        case .called(let called):
            [
                "call      \(called.step): \(called.call.workflow)"
                    + (called.call.parent.isDetached ? ", detached" : ""),
                "            \(JSON.text(called.call.input))",
            ]
        case .signalled(let sent):
            ["signal    \(sent.signal.name) to \(sent.run): \(JSON.text(sent.signal.body))"]
        case .replied(let reply):
            ["reply     \(reply.status) \(Value(bytes: reply.body).text)"]
        }
    }

    private func lines(_ sent: Simulation.Sent) -> [String] {
        let request = sent.request
        let attempt = sent.attempt > 1 ? " (attempt \(sent.attempt))" : ""
        var lines = ["send      \(sent.step)\(attempt): \(request.method) \(request.url)"]
        let own = request.headers.filter { !$0.name.hasPrefix("Millrace-") && $0.name != "traceparent" }
        lines += own.map { "            \($0.name): \($0.value)" }
        if !request.body.isEmpty {
            lines.append("            \(Value(bytes: request.body).text)")
        }
        return lines
    }

    private func lines(_ entry: JournalEntry) -> [String] {
        switch entry {
        case .stepSettled(let path, let result):
            if let error = result.error { return ["failed    \(path): \(error.code): \(error.message)"] }
            switch result.content {
            case .child(let child) where child.isDetached: return ["done      \(path): run \(child.run)"]
            case .child(let child): return ["done      \(path): \(JSON.text(child.output))"]
            case .output(let value): return ["done      \(path): \(JSON.text(value))"]
            case .response(let response): return ["done      \(path): status \(response.status)"]
            case .winner(let number): return ["done      \(path): item \(number) won"]
            default: return ["done      \(path)"]
            }
        case .stepSkipped(let path, let reason): return ["skipped   \(path): \(reason.rawValue)"]
        case .attemptFailed(let path, let attempt, let error, _, let retryAt, _):
            return ["retry     \(path): attempt \(attempt) failed (\(error.code)), again at \(retryAt.text)"]
        case .stepOpened(let path, let over):
            return ["open      \(path)" + (over.map { ": \(JSON.text($0.shown))" } ?? "")]
        case .stepSleeping(let path, let until, _): return ["sleep     \(path): until \(until.text)"]
        case .stepWaiting(let path, let until, _):
            return ["wait      \(path): " + (until.map { "until \($0.text) at most" } ?? "for a signal")]
        case .stepCalling(let path, let child): return ["wait      \(path): for run \(child)"]
        case .signalReceived(let signal): return ["signal    \(signal.name): \(JSON.text(signal.body))"]
        case .outputFailed(let error): return ["failed    \(error.code): \(error.message)"]
        case .runFinalizing(let outcome):
            return [
                "finally   the run has \(outcome.status.rawValue == "cancelled" ? "been " : "")\(outcome.status.rawValue)"
            ]
        case .finallyCut(let error): return ["cut       finally: \(error.code): \(error.message)"]
        case .runFinished(let outcome):
            let error = outcome.error.map { ": \($0.code): \($0.message)" } ?? ""
            let output = outcome.output.isNull ? "" : ": \(JSON.text(outcome.output))"
            return ["\(outcome.status.rawValue)\(error)\(output)"]
        default: return []
        }
    }

    /// `{outcome, output, error, elapsed_ms, requests, calls, steps}`.
    package var value: Value {
        [
            "outcome": simulation.outcome.map { .string($0.status.rawValue) } ?? "running",
            "output": simulation.outcome?.output ?? .null,
            "error": simulation.outcome?.error.map {
                ["code": .string($0.code), "message": .string($0.message)]
            } ?? .null, "elapsed_ms": .int(simulation.elapsed.milliseconds),
            "requests": .array(
                simulation.sent.map { sent in
                    [
                        "step": .string(sent.step), "attempt": .int(Int64(sent.attempt)),
                        "after_ms": .int(sent.after.milliseconds), "method": .string(sent.request.method),
                        "url": .string(sent.request.url),
                        "headers": .array(
                            sent.request.headers.map { [.string($0.name), .string($0.value)] }),
                        "body": Value(bytes: sent.request.body),
                    ]
                }),
            "calls": .array(
                simulation.called.map { called in
                    [
                        "step": .string(called.step), "after_ms": .int(called.after.milliseconds),
                        "workflow": .string(called.call.workflow), "input": called.call.input,
                        "detach": .bool(called.call.parent.isDetached),
                    ]
                }),
            "steps": .object(
                Object(simulation.states.map { Object.Member(name: $0.step, value: .string($0.state)) })),
        ]
    }
}

extension String {
    /// With blanks behind, up to `width` characters, and one at least.
    fileprivate func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(1, width - count))
    }
}
