import Ports
import Values

extension WorkflowDecoder {
    private static let retryKeys = [
        "max", "on", "delay", "backoff", "max_delay", "jitter", "schedule", "until",
    ]
    private static let scheduleCountMax = 100
    private static let week = Duration.seconds(7 * 86_400)

    mutating func retry(_ node: Node) -> RetryPolicy {
        var policy = RetryPolicy.requestDefault
        guard let fields = fields(of: node, as: "retry", known: Self.retryKeys) else { return policy }
        if let max = fields["max"].flatMap({ wholeNumber($0, as: "max", in: 0...100) }) { policy.max = max }
        view.hasResponse = true
        if let on = fields["on"] { policy.on = (on.items ?? [on]).compactMap { condition($0) } }
        view.hasResponse = false
        decodeDelays(fields, into: &policy)
        if let schedule = fields.member("schedule") { decodeSchedule(schedule, fields, into: &policy) }
        if let jitter = fields["jitter"].flatMap({ text($0, as: "jitter") }) {
            policy.jitter = RetryPolicy.Jitter(rawValue: jitter) ?? policy.jitter
            if RetryPolicy.Jitter(rawValue: jitter) == nil, let mark = fields["jitter"]?.mark {
                noteChoice(jitter, at: mark, "a jitter", ["none", "full"])
            }
        }
        policy.until = fields["until"].flatMap {
            duration($0, as: "until", in: .milliseconds(1)...Self.durationMax)
        }
        return policy
    }

    private mutating func decodeDelays(_ fields: Fields, into policy: inout RetryPolicy) {
        if let delay = fields["delay"].flatMap({ duration($0, as: "delay", in: .zero...Self.week) }) {
            policy.delay = delay
        }
        if let backoff = fields["backoff"].flatMap({ text($0, as: "backoff") }) {
            policy.backoff = RetryPolicy.Backoff(rawValue: backoff) ?? policy.backoff
            if RetryPolicy.Backoff(rawValue: backoff) == nil, let mark = fields["backoff"]?.mark {
                noteChoice(backoff, at: mark, "a backoff", ["exponential", "linear", "fixed"])
            }
        }
        policy.maxDelay = max(policy.maxDelay, policy.delay)
        guard let node = fields["max_delay"],
            let longest = duration(node, as: "max_delay", in: .milliseconds(1)...Self.week)
        else { return }
        if longest < policy.delay {
            note(
                .outOfRange, at: node.mark,
                "max_delay is shorter than delay, which is \(DurationText.write(policy.delay))")
        }
        policy.maxDelay = longest
    }

    /// Decodes the list of waits; reports the keys that would compute number and times of retries.
    private mutating func decodeSchedule(
        _ schedule: Node.Member, _ fields: Fields, into policy: inout RetryPolicy
    ) {
        for name in ["max", "delay", "backoff", "max_delay", "jitter"] {
            guard let member = fields.member(name) else { continue }
            noteConflict(
                member, with: "schedule", of: "retry",
                hint: "the schedule alone says how often and when: remove `\(name)`")
        }
        let items = schedule.value.items ?? [schedule.value]
        guard (1...Self.scheduleCountMax).contains(items.count) else {
            note(
                .outOfRange, at: schedule.value.mark,
                "schedule is from 1 to \(Self.scheduleCountMax) durations, not \(items.count)")
            return
        }
        policy.schedule = items.compactMap { duration($0, as: "a wait", in: .zero...Self.durationMax) }
        policy.max = policy.schedule.count
        policy.maxDelay = policy.schedule.max() ?? policy.maxDelay
        policy.jitter = .none
    }

    private mutating func condition(_ node: Node) -> RetryPolicy.Condition? {
        if case .int = node.value {
            return wholeNumber(node, as: "a status", in: 100...599).map { .status($0) }
        }
        switch node.text {
        case "connection": return .connection
        case "timeout": return .timeout
        case "4xx": return .statusClass(4)
        case "5xx": return .statusClass(5)
        case let word?
        where !word.isEmpty
            && word.utf8.allSatisfy({ (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) }):
            noteChoice(word, at: node.mark, "a reason to repeat", ["connection", "timeout", "4xx", "5xx"])
            return nil
        default: return bareExpression(node, under: "on").map { .expression($0) }
        }
    }
}
