package import Ports
package import Values
import Workflow

/// `trigger` in an expression.
package final class TriggerView: ScopeBranch {
    let start: RunStart
    /// The body, parsed once by its content type.
    package let body: Value
    /// The body as people see it.
    let shownBody: Value

    package init(_ start: RunStart) {
        self.start = start
        shownBody =
            start.input ?? start.parsedBody
            ?? BodyReader.value(
                of: start.body, contentType: start.headers["content-type"],
                contentEncoding: start.headers["content-encoding"])
        body = start.sensitive.below("body").restored(in: shownBody)
    }

    package func member(_ name: String) -> ScopeNode? {
        switch name {
        case "body": .value(body)
        case "raw_body": .value(Value(bytes: start.body))
        case "headers": .branch(HeadersView(headers: start.headers))
        case "query":
            .value(.object(Object(fields: start.query.map { ($0.name, .string($0.value)) })))
        case "type": .value(.string(start.triggerKind))
        default: nil
        }
    }

    package var memberNames: [String] { ["type", "headers", "query", "body", "raw_body"] }
}

/// Headers by lower-case name; repeated ones are joined by commas.
struct HeadersView: ScopeBranch {
    let headers: [HTTPHeader]

    func member(_ name: String) -> ScopeNode? {
        let values = headers.filter { $0.name == name }.map(\.value)
        return values.isEmpty ? nil : .value(.string(values.joined(separator: ", ")))
    }

    var memberNames: [String] {
        var names: [String] = []
        for header in headers where !names.contains(header.name) { names.append(header.name) }
        return names
    }
}

/// The kept part of a step's result, for expressions and for the run's view.
package final class StepView: Sendable {
    package let error: StepError?
    package let attemptCount: Int
    let status: Int?
    let headers: [HTTPHeader]
    /// The signal that ended a wait.
    let signal: RunSignal?
    let timedOut: Bool
    /// The run that the step has started.
    let child: RunID?
    /// The parsed body or the computed output; null if no expression reads it.
    let output: Value
    /// For a strategy: the result of each item.
    let items: [Value]?
    /// For a race: the number of the winner, from 1.
    let winner: Int?

    init(_ result: StepResult, parsesBody: Bool, reading: ResponseRule.Reading = .typed) {
        error = result.error
        attemptCount = result.attemptCount
        items = nil
        if case .signal(let received) = result.content { signal = received } else { signal = nil }
        if case .timedOut = result.content { timedOut = true } else { timedOut = false }
        if case .child(let called) = result.content { child = called.run } else { child = nil }
        if case .winner(let number) = result.content { winner = number } else { winner = nil }
        switch result.content {
        case .child(let called):
            (status, headers) = (nil, [])
            output = result.sensitive.below("output").restored(in: called.value)
        case .none, .timedOut, .signal, .winner: (status, headers, output) = (nil, [], .null)
        case .output(let value):
            (status, headers) = (nil, [])
            output = result.sensitive.below("output").restored(in: value)
        case .response(let response):
            status = response.status
            headers = parsesBody ? result.sensitive.below("headers").restored(in: response.headers) : []
            output =
                parsesBody
                ? result.sensitive.below("body").restored(
                    in: AnswerReading.value(
                        of: response.body, contentType: response.headers["content-type"], reading: reading))
                : .null
        }
    }

    /// The result of a step with a strategy, composed of its items; for a race, the winner's.
    init(items: [Value], of result: StepResult, winner view: StepView?) {
        error = result.error
        attemptCount = 0
        self.items = items
        if case .winner(let number) = result.content {
            winner = number
            child = view?.child
            (status, headers, signal) = (view?.status, view?.headers ?? [], view?.signal)
            timedOut = view?.timedOut ?? false
            output = view?.output ?? .null
        } else {
            (status, headers, signal, timedOut, winner, child) = (nil, [], nil, false, nil, nil)
            output = .array(items.map { $0["output"] ?? .null })
        }
    }

    private init(error: StepError, attemptCount: Int) {
        self.error = error
        self.attemptCount = attemptCount
        (status, headers, signal, timedOut, output, items) = (nil, [], nil, false, .null, nil)
        (winner, child) = (nil, nil)
    }

    /// The part that remains once nobody can read the result; nil for a success.
    var errorAlone: StepView? { error.map { StepView(error: $0, attemptCount: attemptCount) } }
}

/// `steps.<id>` in an expression.
struct StepBranch: ScopeBranch {
    let phase: RunState.Phase
    let view: StepView?

    func member(_ name: String) -> ScopeNode? {
        switch name {
        case "outcome": return .value(outcome)
        case "output": return view.map { .value($0.output) }
        case "attempts": return view.map { .value(.int(Int64($0.attemptCount))) }
        case "timed_out": return view.map { .value(.bool($0.timedOut)) }
        case "run_id":
            // Known while the child still runs, for readers of an unsettled step.
            return (view?.child ?? callingChild).map { .value(.string("\($0)")) }
        case "items": return view?.items.map { .value(.array($0)) }
        case "last":
            // Items that a loop did not reach have no outcome.
            return view?.items.map { .value($0.last { $0["outcome"]?.isNull == false } ?? .null) }
        case "winner": return view?.winner.map { .value(.int(Int64($0))) }
        case "signal":
            return view?.signal.map { .value(["name": .string($0.name), "body": $0.body]) }
        case "error":
            return view?.error.map {
                .value(["code": .string($0.code), "message": .string($0.message)])
            }
        case "response":
            guard let view, let status = view.status else { return nil }
            return .branch(ResponseBranch(status: status, headers: view.headers, body: view.output))
        default: return nil
        }
    }

    var memberNames: [String] {
        [
            "outcome", "output", "response", "error", "attempts", "signal", "timed_out", "items", "last",
            "winner", "run_id",
        ]
    }

    private var callingChild: RunID? {
        if case .calling(let child, _) = phase { return child }
        return nil
    }

    /// One element of `steps.<id>.items`.
    func itemValue(of item: Value) -> Value {
        var object = Object()
        object["outcome"] = outcome
        object["item"] = item
        // A body is under `response`, as in a step without a strategy.
        object["output"] = view?.status == nil ? view?.output ?? .null : .null
        for name in ["response", "error", "signal", "timed_out", "run_id"] {
            guard let node = member(name), let value = try? node.materialised() else { continue }
            object[name] = value
        }
        return .object(object)
    }

    private var outcome: Value {
        switch phase {
        case .succeeded: "succeeded"
        case .failed: "failed"
        case .skipped: "skipped"
        case .cancelled: "cancelled"
        default: .null
        }
    }
}

/// `response` in an expression.
struct ResponseBranch: ScopeBranch {
    let status: Int
    let headers: [HTTPHeader]
    let body: Value

    func member(_ name: String) -> ScopeNode? {
        switch name {
        case "status": .value(.int(Int64(status)))
        case "headers": .branch(HeadersView(headers: headers))
        case "body": .value(body)
        default: nil
        }
    }

    var memberNames: [String] { ["status", "headers", "body"] }
}
