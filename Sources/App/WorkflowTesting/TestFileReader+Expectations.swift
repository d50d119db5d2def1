import Ports
import Values
import Workflow

// What the case expects.

extension TestFileReader {
    private static let expectedKeys = [
        "trigger", "dedupe", "outcome", "output", "error", "steps", "requests", "calls", "elapsed", "reply",
        "compensation", "finally",
    ]

    mutating func expectations(_ node: Node) -> [Expectation] {
        guard let fields = map(node, "expect", known: Self.expectedKeys) else { return [] }
        if fields.members.isEmpty { note(.missing, node.mark, "`expect` says nothing") }
        return fields.members.flatMap { expectations($0) }
    }

    private mutating func expectations(_ member: Node.Member) -> [Expectation] {
        let node = member.value
        func one(_ fact: Expectation.Fact?) -> [Expectation] {
            fact.map { [Expectation(fact: $0, mark: member.nameMark)] } ?? []
        }
        switch member.name {
        case "trigger":
            let words = ["accepted", "refused", "guard_failed", "unfit"]
            return one(choice(node, "verdict on a trigger", words).map { .trigger($0) })
        case "dedupe": return one(.dedupe(node.value))
        case "outcome":
            let words = ["succeeded", "failed", "cancelled", "running"]
            return one(choice(node, "outcome", words).map { .outcome($0) })
        case "output": return one(.output(node.value))
        case "compensation":
            return one(closing(node, "compensation").map { .compensation($0) })
        case "finally":
            return one(closing(node, "finally").map { .finally($0) })
        case "reply": return one(.reply(node.value))
        case "error": return one(error(node))
        case "elapsed": return one(elapsed(node))
        case "requests": return one(requests(node))
        case "calls": return one(calls(node))
        case "steps": return steps(node)
        default: return []
        }
    }

    /// The end of a part of the run: a word, or null if there was no such part.
    private mutating func closing(_ node: Node, _ kind: String) -> String?? {
        if node.value.isNull { return .some(nil) }
        return choice(node, "value of \(kind)", ["succeeded", "failed"]).map { .some($0) }
    }

    private mutating func error(_ node: Node) -> Expectation.Fact? {
        guard let fields = map(node, "error", known: ["code", "step", "message"]) else { return nil }
        let named = fields["step"].flatMap { text($0, "step") }
        if let named, let node = fields["step"] { _ = step(named, at: node.mark) }
        return .error(
            code: fields["code"].flatMap { text($0, "code") }, step: named,
            message: fields["message"].flatMap { text($0, "message") })
    }

    private mutating func elapsed(_ node: Node) -> Expectation.Fact? {
        if node.members != nil {
            guard let fields = map(node, "elapsed", known: ["at_least", "at_most"]) else { return nil }
            return .elapsed(
                atLeast: fields["at_least"].flatMap { duration($0) },
                atMost: fields["at_most"].flatMap { duration($0) })
        }
        return duration(node).map { .elapsed(atLeast: $0, atMost: $0) }
    }

    private mutating func steps(_ node: Node) -> [Expectation] {
        let states = [
            "succeeded", "failed", "skipped", "cancelled", "not_reached", "ready", "pending", "waiting",
            "sleeping", "calling", "open",
        ]
        return (entries(node, "steps") ?? []).compactMap { member in
            guard let step = step(member.name, at: member.nameMark),
                let state = choice(member.value, "state of a step", states)
            else { return nil }
            return Expectation(fact: .step(step, state: state), mark: member.nameMark)
        }
    }

    private mutating func requests(_ node: Node) -> Expectation.Fact? {
        guard let items = node.items else {
            note(.wrongType, node.mark, "requests is a list, not \(node.value.kindName)", "[] for none")
            return nil
        }
        return .requests(items.compactMap { request($0) })
    }

    private mutating func request(_ node: Node) -> RequestExpected? {
        let known = ["step", "attempt", "at", "method", "url", "headers", "body"]
        guard let fields = map(node, "a request", known: known) else { return nil }
        var request = RequestExpected(mark: node.mark)
        if let node = fields["step"], let name = text(node, "step") {
            request.step = step(name, at: node.mark)
        }
        request.attempt = fields["attempt"].flatMap { whole($0, "attempt", 1...1000) }
        request.after = fields["at"].flatMap { duration($0) }
        request.method = fields["method"].flatMap { text($0, "method") }
        request.url = fields["url"].flatMap { text($0, "url") }
        request.headers = fields["headers"].map { headers($0) } ?? []
        request.body = fields["body"]?.value
        return request
    }
}
