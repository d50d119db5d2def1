import Engine
import Ports
import Values
import Workflow

/// Compares what happened with what a case expects.
struct Judgement {
    let one: TestCase
    let verdict: Doorway.Verdict
    let simulation: Simulation?
    let unused: [Mock]

    func differences() -> [Difference] {
        var found: [Difference] = []
        switch simulation?.unanswered {
        case .request(let sent): found.append(unmocked(sent))
        case .child(let called): found.append(unmocked(called))
        case nil: break
        }
        let expectsVerdict = one.expected.contains { if case .trigger = $0.fact { true } else { false } }
        if simulation == nil, !expectsVerdict { found.append(notStarted) }
        for expectation in one.expected {
            if let simulation {
                // What comes after a request without an answer would only repeat that one fault.
                if simulation.unanswered == nil { found += judge(expectation, simulation) }
            } else if case .trigger(let word) = expectation.fact {
                var comparison = Comparison(mark: expectation.mark)
                comparison.compare(word, verdict.word, at: "trigger", hint: reason)
                found += comparison.differences
            } else if expectsVerdict {
                found.append(
                    Difference(
                        path: "trigger", mark: expectation.mark, expected: "a run", actual: verdict.word,
                        hint: reason))
            }
        }
        guard simulation?.unanswered == nil else { return found }
        return found
            + unused.map {
                Difference(
                    path: "mocks", mark: $0.mark, expected: "a request that this answers", actual: "none",
                    hint: "take the mock out, or see why nothing is sent")
            }
    }

    private var reason: String? {
        switch verdict {
        case .accepted, .refused: nil
        case .guardFailed(let message), .unfit(let message): message
        }
    }

    private var notStarted: Difference {
        Difference(
            path: "trigger", mark: one.mark, expected: "accepted", actual: verdict.word,
            hint: reason ?? "no trigger takes this; where that is meant, expect `trigger: \(verdict.word)`")
    }

    private func unmocked(_ sent: Simulation.Sent) -> Difference {
        let example = "mocks: {\(sent.step): [{status: 200, body: {}}]}"
        let hint =
            sent.attempt == 1
            ? "answer it: \(example)"
            : "the answers before it were used up: add another one for attempt \(sent.attempt), or `times`"
        return Difference(
            path: "mocks.\(sent.step)[\(sent.attempt - 1)]", mark: one.mark, expected: "an answer",
            actual: "none for \(sent.request.method) \(sent.request.url)", hint: hint)
    }

    private func unmocked(_ called: Simulation.Called) -> Difference {
        Difference(
            path: "mocks.\(called.step)", mark: one.mark, expected: "the end of a child",
            actual: "none for a run of \(called.call.workflow)",
            hint: "answer it: mocks: {\(called.step): {output: {}}}")
    }

    private func judge(_ expectation: Expectation, _ run: Simulation) -> [Difference] {
        var comparison = Comparison(mark: expectation.mark)
        switch expectation.fact {
        case .trigger(let word): comparison.compare(word, verdict.word, at: "trigger")
        case .dedupe(let expected):
            guard case .accepted(_, let key) = verdict else { break }
            comparison.compare(expected.isNull ? nil : expected.text, key, at: "dedupe")
        case .outcome(let word):
            let actual = run.outcome?.status.rawValue ?? "running"
            comparison.compare(word, actual, at: "outcome", hint: Self.why(run))
        case .output(let expected):
            comparison.compare(expected, run.outcome?.output ?? .null, at: "output")
        case .error(let code, let step, let message):
            let error = run.outcome?.error
            if let code { comparison.compare(code, error?.code, at: "error.code", hint: error?.message) }
            if let step, !(run.outcome?.failedStep.map { StepPath.matches(step, $0) } ?? false) {
                comparison.compare(step, run.outcome?.failedStep, at: "error.step")
            }
            if let message, !(error?.message.contains(message) ?? false) {
                comparison.add("error.message", "…\(message)…", error?.message)
            }
        case .step(let step, let state):
            comparison.compare(state, Self.state(of: step, run), at: "steps.\(step)")
        case .requests(let expected):
            return RequestComparison(expected: expected, sent: run.sent, mark: expectation.mark).differences()
        case .calls(let expected):
            return CallComparison(expected: expected, called: run.called, mark: expectation.mark)
                .differences()
        case .elapsed(let atLeast, let atMost):
            let actual = DurationText.write(run.elapsed)
            if let atLeast, run.elapsed < atLeast {
                comparison.add("elapsed", "at least \(DurationText.write(atLeast))", actual)
            } else if let atMost, run.elapsed > atMost {
                comparison.add("elapsed", "at most \(DurationText.write(atMost))", actual)
            }
        case .compensation(let word):
            comparison.compare(word, run.outcome?.compensation?.rawValue, at: "compensation")
        case .finally(let word):
            comparison.compare(word, run.outcome?.finally?.rawValue, at: "finally")
        case .reply(let expected):
            comparison.compare(expected, Self.reply(run, like: expected), at: "reply")
        }
        return comparison.differences
    }

    /// The state of a step; where items have several, all of them.
    private static func state(of step: String, _ run: Simulation) -> String? {
        let states = run.states
        if let exact = states.first(where: { $0.step == step }) { return exact.state }
        var found: [String] = []
        for (path, state) in states where StepPath.matches(step, path) && !found.contains(state) {
            found.append(state)
        }
        return found.isEmpty ? nil : found.joined(separator: ", ")
    }

    /// The reply as a value, of its headers only those that the case speaks of.
    private static func reply(_ run: Simulation, like expected: Value) -> Value {
        guard let reply = run.reply else { return .null }
        var object = Object()
        for member in expected.object?.members ?? [] {
            switch member.name {
            case "status": object["status"] = .int(Int64(reply.status))
            case "body":
                object["body"] = BodyReader.value(
                    of: reply.body, contentType: reply.headers["content-type"])
            case "headers":
                var headers = Object()
                for header in member.value.object?.members ?? [] {
                    headers[header.name] = reply.headers[header.name].map { .string($0) }
                }
                object["headers"] = .object(headers)
            default: break
            }
        }
        return .object(object)
    }

    private static func why(_ run: Simulation) -> String? {
        if let outcome = run.outcome {
            let step = outcome.failedStep.map { " in \($0)" } ?? ""
            return outcome.error.map { "\($0.code)\(step): \($0.message)" }
        }
        let open = run.states.filter { !["succeeded", "failed", "skipped", "pending"].contains($0.state) }
        return "it does not end by itself: "
            + open.map { "\($0.step) is \($0.state)" }.joined(separator: ", ")
    }
}

/// Compares requests one by one, in order.
struct RequestComparison {
    let expected: [RequestExpected]
    let sent: [Simulation.Sent]
    let mark: Mark

    func differences() -> [Difference] {
        var found: [Difference] = []
        for index in 0..<max(expected.count, sent.count) {
            let path = "requests[\(index)]"
            if index >= sent.count {
                found.append(
                    Difference(
                        path: path, mark: expected[index].mark, expected: Self.line(expected[index]),
                        actual: "no further request"))
            } else if index >= expected.count {
                let request = sent[index]
                found.append(
                    Difference(
                        path: path, mark: mark, expected: "no further request",
                        actual: "\(request.step): \(request.request.method) \(request.request.url)"))
            } else {
                found += compare(expected[index], sent[index], at: path)
            }
        }
        return found
    }

    private static func line(_ request: RequestExpected) -> String {
        [request.step.map { "\($0):" }, request.method, request.url].compactMap(\.self).joined(separator: " ")
    }

    private func compare(_ expected: RequestExpected, _ sent: Simulation.Sent, at path: String)
        -> [Difference]
    {
        let request = sent.request
        var comparison = Comparison(mark: expected.mark)
        if let step = expected.step, !StepPath.matches(step, sent.step) {
            comparison.compare(step, sent.step, at: "\(path).step")
        }
        if let attempt = expected.attempt {
            comparison.compare(String(attempt), String(sent.attempt), at: "\(path).attempt")
        }
        if let after = expected.after, after != sent.after {
            comparison.add("\(path).at", DurationText.write(after), DurationText.write(sent.after))
        }
        if let method = expected.method { comparison.compare(method, request.method, at: "\(path).method") }
        if let url = expected.url, !SentAddress.isSame(url, as: request.url) {
            comparison.compare(url, request.url, at: "\(path).url")
        }
        for header in expected.headers {
            comparison.compare(
                header.value, request.headers[header.name], at: "\(path).headers.\(header.name)")
        }
        if let body = expected.body { compare(body, request, at: "\(path).body", &comparison) }
        return comparison.differences
    }

    private func compare(
        _ expected: Value, _ request: OutboundRequest, at path: String, _ comparison: inout Comparison
    ) {
        let type = request.headers["content-type"]
        let actual = BodyReader.value(of: request.body, contentType: type)
        if let wanted = expected.string {
            comparison.compare(.string(wanted), Value(bytes: request.body), at: path)
        } else if ContentType(type ?? "").isForm {
            let form = Array(FormEncoding.encode(expected).utf8)
            comparison.compare(BodyReader.value(of: form, contentType: type), actual, at: path)
        } else {
            comparison.compare(expected, actual, at: path)
        }
    }
}
