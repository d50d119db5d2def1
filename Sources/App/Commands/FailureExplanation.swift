import Values

/// Why a run failed or was cancelled, and what can be done about it.
struct FailureExplanation {
    private let record: Value
    /// The last of the failed step; nil if it has sent nothing.
    private let attempt: Value?
    private let times: Times

    init(_ record: Value, attempt: Value?, _ times: Times) {
        self.record = record
        self.attempt = attempt
        self.times = times
    }

    private var run: String { record["run_id"]?.text ?? "" }
    private var step: String? { record["error"]?["step"]?.string }
    private var code: String { record["error"]?["code"]?.text ?? "" }
    private var stepFacts: Value? { (record["steps"]?.array ?? []).first { $0["id"]?.string == step } }
    private var steps: [Value] { record["steps"]?.array ?? [] }

    /// As a program reads it.
    var value: Value {
        [
            "run_id": record["run_id"] ?? .null, "status": record["status"] ?? .null,
            "error": record["error"] ?? .null, "step": stepFacts ?? .null, "attempt": attempt ?? .null,
            "guards": .array(guards.map(\.value)), "compensation": record["compensation"] ?? .null,
            "undone": .array(undoing), "finally": record["finally"] ?? .null,
            "what_to_do": .array(advice.map(Value.string)),
        ]
    }

    var text: String {
        var parts = [head]
        if let attempt { parts.append(AttemptText(attempt, times).text) }
        if !guards.isEmpty { parts.append(guards.map(\.text).joined(separator: "\n")) }
        if let undone { parts.append(undone) }
        if let finally { parts.append(finally) }
        parts.append("what to do:\n" + advice.map { "  \($0)" }.joined(separator: "\n"))
        return parts.joined(separator: "\n\n")
    }

    private var head: String {
        let end = record["finished_at"].map { ", \(times.text($0))" } ?? ""
        var lines = ["\(run) (\(record["workflow"]?.text ?? "")) \(record["status"]?.text ?? "")\(end)"]
        if let error = RunText.error(of: record) { lines.append(error) }
        if let count = stepFacts?["attempts"]?.int, count > 1 {
            lines.append("step \(step ?? "") was tried \(counted(Int(count), "time"))")
        }
        return lines.joined(separator: "\n")
    }

    // MARK: - Guards

    private struct Guard {
        var step: String
        var state: String
        var facts: Value

        var value: Value {
            ["step": .string(step), "state": .string(state), "guard": facts]
        }

        /// Its state, its step, its text and what it has read, in one line.
        var text: String {
            let reads = (facts["reads"]?.object?.members ?? []).map { "\($0.name) is \(JSON.text($0.value))" }
            let seen = reads.isEmpty ? "" : " (\(reads.joined(separator: ", ")))"
            return "\(state) \(step): when \(facts["expression"]?.text ?? "")\(seen)"
        }
    }

    /// Of the failed step, and of those that their guards have skipped.
    private var guards: [Guard] {
        steps.compactMap { step in
            guard let facts = step["guard"], !facts.isNull, let id = step["id"]?.string else { return nil }
            let isSkipped = step["state"] == "skipped" && facts["holds"] == false
            guard isSkipped || id == self.step else { return nil }
            return Guard(step: id, state: step["state"]?.text ?? "", facts: facts)
        }
    }

    // MARK: - Undoing

    private var undoing: [Value] {
        steps.filter { $0["id"]?.string?.hasSuffix("/compensate") ?? false }
            .filter { !["pending", "not_reached"].contains($0["state"]?.string ?? "") }
            .map {
                ["step": $0["id"] ?? .null, "state": $0["state"] ?? .null, "error": $0["error"] ?? .null]
            }
    }

    private var undone: String? {
        guard let outcome = record["compensation"]?.string else { return nil }
        let lines = undoing.map { one in
            let error = one["error"]?["message"].map { ": \($0.text)" } ?? ""
            return "  \(one["step"]?.text ?? "") \(one["state"]?.text ?? "")\(error)"
        }
        return (["what had been done was undone: \(outcome)"] + lines).joined(separator: "\n")
    }

    /// Of `finally` steps that failed as well.
    private var finally: String? {
        guard record["finally"] == "failed" else { return nil }
        let failed = steps.filter {
            $0["id"]?.string?.hasPrefix("finally/") ?? false && $0["state"] == "failed"
        }
        let lines = failed.map { "  \($0["id"]?.text ?? ""): \($0["error"]?["message"]?.text ?? "")" }
        return (["its finally steps failed as well"] + lines).joined(separator: "\n")
    }

    // MARK: - Advice

    /// Commands and hints, the likeliest first.
    private var advice: [String] {
        (cause.map { [$0] } ?? []) + goingOn + ["millrace run \(run) --sent   shows every request and answer"]
    }

    private var goingOn: [String] {
        if record["compensation"] == "failed" {
            return [
                "look whether the work of the steps that were not undone stands, then",
                "millrace fork \(run) --from STEP   does STEP and what comes after it again",
            ]
        }
        var lines = ["millrace retry \(run)   continues from where it failed, under new keys"]
        if let step {
            let root = step.prefix { $0 != "/" }
            lines.append(
                "millrace fork \(run) --from \(root) --version current   does so with the deployed version")
        }
        return lines
    }

    private var cause: String? {
        let host = attempt?["sent"]?["url"]?.string ?? "the server"
        switch code {
        case "status":
            let status = attempt?["received"]?["status"]?.int ?? 0
            return status >= 500 || status == 429
                ? "\(host) failed or was busy: retry once it answers again"
                : "\(host) refused the request: compare what was sent with its documentation"
        case "timeout":
            return "\(host) took too long: look there whether it did the work, for a retry sends a new key"
        case "connection":
            return "\(host) could not be reached or broke off: see that the address is right and up"
        case "fail_when":
            return "the answer was accepted by its status and refused by `fail_when` of the step"
        case "schema": return "the answer does not fit `response.schema` of the step"
        case "unreadable_answer":
            return "the answer says that it is JSON and is none: `response: {body: text}` takes it as it is"
        case "secret_missing": return "millrace secrets set NAME, then retry"
        case "secret_not_for_host": return "millrace secrets set NAME --host HOST allows the host, then retry"
        case "invalid_request", "raised", "not_a_value":
            return "an expression of the step gave what cannot be used: mend the file, deploy it, then fork"
        case "budget_exceeded", "memory_exceeded":
            return "an expression computes too much: make it smaller, deploy it, then fork"
        case "run_timed_out": return "the run took longer than `timeout:` of the workflow"
        case "run_too_large":
            return "the run's journal has come to its limit: fetch less, or split the work by `call`"
        case "cancelled": return nil
        default: return nil
        }
    }
}
