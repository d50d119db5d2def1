import Ports
import Values

/// Steps that wait for a time or a signal.
extension WorkflowDecoder {
    /// Longest duration of anything: a sleep, a wait, retries or a whole run.
    static let durationMax = Duration.seconds(400 * 86_400)
    /// Seconds from 1970 to the end of the year 9999.
    private static let secondsMax: Int64 = 253_402_300_799
    private static let signalCountMax = 20
    private static let timeoutRules = ["fail", "reject", "continue"]

    // MARK: - sleep

    /// A duration, an expression for a duration or a time, or `{until: …}`.
    mutating func sleep(_ node: Node) -> SleepRule? {
        if node.isBlockForm { return .until(template(node)) }
        if node.members != nil {
            guard let fields = fields(of: node, as: "a sleep", known: ["until"]),
                let until = required("until", in: fields, at: node)
            else { return nil }
            return .until(wakingTime(until))
        }
        if let text = node.text, text.contains("<<") || text.contains("{{") {
            return .until(template(node))
        }
        if let text = node.text, Instant(rfc3339: text) != nil {
            note(
                .badDuration, at: node.mark, "\(quote(text)) is a time, not a duration",
                hint: "write {until: \(text)}")
            return nil
        }
        return duration(node, as: "sleep", in: .milliseconds(1)...Self.durationMax).map { .duration($0) }
    }

    /// The value of `until`; a constant must have a form that an expression may have.
    private mutating func wakingTime(_ node: Node) -> Template {
        let template = template(node)
        // A null for a node that is not null replaces an expression that was refused already.
        if template.constant?.isNull ?? false, !node.value.isNull { return template }
        switch template {
        case .expression, .text: break
        case .constant(let value): checkWakingTime(value, node)
        case .list, .map: noteBadTime(node)
        }
        return template
    }

    private mutating func checkWakingTime(_ value: Value, _ node: Node) {
        switch value {
        case .string(let text) where Instant(rfc3339: text) != nil: break
        case .string(let text) where DurationText.read(text) != nil:
            _ = duration(node, as: "until", in: .zero...Self.durationMax)
        case .int(let seconds) where (0...Self.secondsMax).contains(seconds): break
        default: noteBadTime(node)
        }
    }

    private mutating func noteBadTime(_ node: Node) {
        note(
            .badTime, at: node.mark, "`until` is neither a time nor a duration",
            hint: "write 2026-12-24T18:00:00Z, seconds since 1970, a duration such as 3d, or << >>")
    }

    // MARK: - wait

    /// The name of one signal, or a map with `signal` or `any`.
    mutating func wait(_ node: Node) -> WaitRule? {
        if node.text != nil { return signalName(node).map { WaitRule(signals: [$0]) } }
        if node.items != nil {
            note(
                .wrongType, at: node.mark, "a wait is a map or the name of a signal, not a list",
                hint: "write {any: […]}")
            return nil
        }
        let known = ["signal", "any", "timeout", "on_timeout"]
        guard let fields = fields(of: node, as: "a wait", known: known) else { return nil }
        var rule = WaitRule(signals: awaited(fields, at: node))
        rule.timeout = fields["timeout"].flatMap { waitingTime($0) }
        if let member = fields.member("on_timeout") {
            rule.onTimeout = timeoutRule(member.value) ?? .fail
            if fields["timeout"] == nil {
                note(
                    .pointlessTimeoutRule, at: member.nameMark,
                    "the wait has no `timeout`, so `on_timeout` never happens",
                    hint: "add `timeout`, or remove `on_timeout`")
            }
        }
        return rule
    }

    /// A duration, or an expression for a duration or a time.
    private mutating func waitingTime(_ node: Node) -> SleepRule? {
        if node.isBlockForm || node.text.map({ $0.contains("<<") || $0.contains("{{") }) ?? false {
            return .until(template(node))
        }
        return duration(node, as: "timeout", in: .milliseconds(1)...Self.durationMax).map { .duration($0) }
    }

    private mutating func awaited(_ fields: Fields, at node: Node) -> [String] {
        if let any = fields.member("any") {
            if fields["signal"] != nil {
                noteConflict(any, with: "signal", of: "a wait", hint: "name all signals under `any`")
            }
            return signalNames(any.value)
        }
        guard let signal = fields["signal"] else {
            if fields.members.allSatisfy({ ["timeout", "on_timeout"].contains($0.name) }) {
                note(.missingKey, at: node.mark, "`signal` is missing", hint: "name what the step waits for")
            }
            return []
        }
        if signal.items != nil {
            note(
                .wrongType, at: signal.mark, "the name of a signal is a text, not a list",
                hint: "several are named under `any`")
            return []
        }
        return signalName(signal).map { [$0] } ?? []
    }

    private mutating func signalNames(_ node: Node) -> [String] {
        guard let items = node.items else {
            note(
                .wrongType, at: node.mark, "any is a list of names, not \(node.kindPhrase)",
                hint: "one signal is named under `signal`")
            return []
        }
        guard !items.isEmpty else {
            note(.emptyList, at: node.mark, "any is empty", hint: "name at least one signal")
            return []
        }
        guard items.count <= Self.signalCountMax else {
            note(
                .outOfRange, at: node.mark,
                "any is from 1 to \(Self.signalCountMax) names, not \(items.count)",
                hint: "tell signals of one kind apart by their body")
            return []
        }
        var names: [String] = []
        for item in items {
            guard let name = signalName(item) else { continue }
            if names.contains(name) {
                note(
                    .badSignalName, at: item.mark, "\(quote(name)) occurs twice", hint: "keep one of the two")
            } else {
                names.append(name)
            }
        }
        return names
    }

    private mutating func signalName(_ node: Node) -> String? {
        guard let name = text(node, as: "the name of a signal") else { return nil }
        return checkSignalName(name, at: node.mark) ? name : nil
    }

    mutating func checkSignalName(_ name: String, at mark: Mark) -> Bool {
        if Naming.isSignalName(name) { return true }
        let hasExpression = name.contains("<<") || name.contains("{{")
        note(
            .badSignalName, at: mark, "\(quote(name)) is not a name of a signal",
            hint: DurationText.read(name) != nil
                ? "a pause is a `sleep` step: `sleep: \(name)`"
                : hasExpression
                    ? "what a step waits for is fixed; put what varies into the body of the signal"
                    : "use at most 64 of a-z, 0-9 and _, starting with a letter")
        return false
    }

    private mutating func timeoutRule(_ node: Node) -> WaitRule.TimeoutRule? {
        guard let name = text(node, as: "on_timeout") else { return nil }
        if let rule = WaitRule.TimeoutRule(rawValue: name) { return rule }
        noteChoice(name, at: node.mark, "a value of on_timeout", Self.timeoutRules)
        return nil
    }
}
