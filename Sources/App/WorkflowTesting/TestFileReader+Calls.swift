import Engine
import Values
import Workflow

// How children end, and what calls must be.

extension TestFileReader {
    private static let callAnswerKeys = ["output", "error", "took", "times"]
    /// Errors of a call that no child has.
    private static let callErrors: Set<String> = [
        "unknown_workflow", "call_too_deep", "too_many_descendants", "call_deadlock", "child_skipped",
        "concurrency_key", "concurrency_key_missing",
    ]

    /// Whether a path stands for a step that calls a workflow.
    func isCall(_ path: String) -> Bool {
        guard var scope = definition?.stepTree else { return false }
        var found: Step?
        // A number is an item of the step before it.
        for part in path.split(separator: "/") where Int(part) == nil {
            guard let index = scope.index(of: String(part)) else { return false }
            found = scope.steps[index]
            if case .group(let group) = scope.steps[index].action { scope = group.scope }
        }
        if case .call? = found?.action { return true }
        return false
    }

    mutating func childAnswers(_ node: Node) -> [MockAnswer] {
        (node.items ?? [node]).compactMap { item in
            map(item, "the end of a child", known: Self.callAnswerKeys).flatMap { childAnswer($0, at: item) }
        }
    }

    private mutating func childAnswer(_ fields: Fields, at node: Node) -> MockAnswer? {
        let took = fields["took"].flatMap { duration($0) } ?? .zero
        let times = fields["times"].flatMap { whole($0, "times", 1...1000) } ?? 1
        guard let error = fields["error"] else {
            if fields["output"] == nil {
                note(
                    .missing, node.mark, "the end of a child needs `output` or `error`",
                    "such as {output: {id: 7}}")
            }
            let output = fields["output"]?.value ?? .null
            return MockAnswer(
                reply: .child(RunOutcome(status: .succeeded, output: output)), took: took, times: times)
        }
        if fields["output"] != nil {
            note(.duplicate, error.mark, "`output` and `error` exclude each other")
        }
        guard let parts = map(error, "the error of a child", known: ["code", "message"]),
            let code = parts["code"].flatMap({ text($0, "code") })
        else {
            if error.members != nil { note(.missing, error.mark, "`code` of the error is missing") }
            return nil
        }
        let found = StepError(
            code: code, message: parts["message"].flatMap { text($0, "message") } ?? "so the test says")
        return MockAnswer(reply: Self.reply(found), took: took, times: times)
    }

    private static func reply(_ error: StepError) -> MockAnswer.Reply {
        if callErrors.contains(error.code) { return .notCalled(error) }
        return .child(RunOutcome(status: error.code == "cancelled" ? .cancelled : .failed, error: error))
    }

    mutating func calls(_ node: Node) -> Expectation.Fact? {
        guard let items = node.items else {
            note(.wrongType, node.mark, "calls is a list, not \(node.value.kindName)", "[] for none")
            return nil
        }
        return .calls(items.compactMap { call($0) })
    }

    private mutating func call(_ node: Node) -> CallExpected? {
        guard let fields = map(node, "a call", known: ["step", "workflow", "input", "detach"]) else {
            return nil
        }
        var call = CallExpected(mark: node.mark)
        if let node = fields["step"], let name = text(node, "step") { call.step = step(name, at: node.mark) }
        call.workflow = fields["workflow"].flatMap { text($0, "workflow") }
        call.input = fields["input"]?.value
        call.isDetached = fields["detach"]?.value.bool
        return call
    }
}
