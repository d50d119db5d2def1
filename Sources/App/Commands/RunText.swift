import Values

/// A run as `millrace run` shows it: facts, steps, and what it was asked to show beside them.
struct RunText {
    private let record: Value
    private let times: Times

    init(_ record: Value, _ times: Times) {
        self.record = record
        self.times = times
    }

    /// Prints a run; the exit code says whether it succeeded.
    static func show(_ record: Value, _ invocation: Invocation) -> ExitCode {
        if invocation.isJSON {
            invocation.console.print(record)
        } else {
            invocation.console.print(RunText(record, Times(invocation)).text)
        }
        return record["status"]?.string == "succeeded" ? .ok : .notOK
    }

    var text: String {
        var parts = [facts]
        if let steps { parts.append(steps) }
        parts += (record["attempts"]?.array ?? []).map { AttemptText($0, times).text }
        if let events = record["events"]?.array {
            parts.append(events.map { Self.line(for: $0, times) }.joined(separator: "\n"))
        }
        return parts.joined(separator: "\n\n")
    }

    // MARK: - Facts

    private var facts: String {
        var rows: [(String, String)] = ["run_id", "workflow", "trigger", "status"].map {
            ($0 == "run_id" ? "run" : $0, record[$0]?.text ?? "")
        }
        rows.append(("started", times.text(record["started_at"])))
        if let finished = record["finished_at"], !finished.isNull {
            rows.append(("finished", times.text(finished)))
            rows.append(("took", Self.took(record)))
        }
        rows.append(("charged ms", record["charged_ms"]?.text ?? ""))
        rows += relations + content
        return rows.map { "\($0.0):".padded(to: 14) + $0.1 }.joined(separator: "\n")
    }

    private var relations: [(String, String)] {
        var rows: [(String, String)] = []
        if let origin = record["origin"], !origin.isNull {
            let step = origin["step"].flatMap { $0.isNull ? nil : " from step \($0.text)" } ?? ""
            rows.append(("origin", "\(origin["kind"]?.text ?? "") of \(origin["run"]?.text ?? "")\(step)"))
        }
        if let parent = record["parent"], !parent.isNull {
            rows.append(("called by", "\(parent["run"]?.text ?? ""), step \(parent["step"]?.text ?? "")"))
        }
        if let cause = record["cause"]?["run"]?.string { rows.append(("started by the end of", cause)) }
        let children = record["children"]?.array ?? []
        if !children.isEmpty {
            let shown = children.prefix(10).map { "\($0["run"]?.text ?? "") (\($0["step"]?.text ?? ""))" }
            let rest = children.count > 10 ? " and \(children.count - 10) more" : ""
            rows.append(("called", shown.joined(separator: ", ") + rest))
        }
        return rows
    }

    private var content: [(String, String)] {
        var rows: [(String, String)] = []
        if let input = record["trigger_body"], !input.isNull { rows.append(("input", JSON.text(input))) }
        if let output = record["output"], !output.isNull { rows.append(("output", JSON.text(output))) }
        if let error = Self.error(of: record) { rows.append(("error", error)) }
        if let compensation = record["compensation"]?.string { rows.append(("compensation", compensation)) }
        if let finally = record["finally"]?.string { rows.append(("finally", finally)) }
        if let note = record["note"]?.string { rows.append(("note", note)) }
        return rows
    }

    /// `status in step charge: status 402: …`; nil for a run without an error.
    static func error(of record: Value) -> String? {
        guard let error = record["error"], !error.isNull else { return nil }
        let step = error["step"].flatMap { $0.isNull ? nil : " in step \($0.text)" } ?? ""
        return "\(error["code"]?.text ?? "")\(step): \(error["message"]?.text ?? "")"
    }

    /// From start to end; empty for a run that is not over.
    static func took(_ record: Value) -> String {
        guard let start = record["started_at"]?.string.flatMap({ Instant(rfc3339: $0) }),
            let end = record["finished_at"]?.string.flatMap({ Instant(rfc3339: $0) })
        else { return "" }
        return durationText(max(0, (end - start).milliseconds))
    }

    // MARK: - Steps

    private static let outputCharacterMax = 60

    private var steps: String? {
        var table = TextTable(["STEP", "STATE", "ATTEMPTS", "TOOK", "RESULT"], rightAligned: [2])
        for step in record["steps"]?.array ?? [] {
            let state = (step["state"]?.text ?? "") + (step["copied"]?.bool == true ? " (copied)" : "")
            table.add([
                step["id"]?.text ?? "", state, step["attempts"]?.text ?? "",
                step["duration_ms"]?.int.map(durationText) ?? "", result(of: step),
            ])
        }
        if table.isEmpty { return nil }
        guard let left = record["steps_left_out"]?.int else { return table.text }
        return table.text + "\nand \(counted(Int(left), "step")) more"
    }

    private func result(of step: Value) -> String {
        if let error = step["error"], !error.isNull {
            return "\(error["code"]?.text ?? ""): \(error["message"]?.text ?? "")"
        }
        let status = step["status"]?.int.map { "\($0) " } ?? ""
        if let output = step["output"], !output.isNull {
            let text = JSON.text(output)
            return status
                + (text.count > Self.outputCharacterMax ? text.prefix(Self.outputCharacterMax) + "…" : text)
        }
        let count = Int(step["output_bytes"]?.int ?? 0)
        if count > 0 { return status + "(\(counted(count, "byte")))" }
        let isSkippedByGuard = step["state"] == "skipped" && step["guard"]?["holds"] == false
        if isSkippedByGuard { return "when: \(step["guard"]?["expression"]?.text ?? "")" }
        return status.trimmed
    }

    // MARK: - Events

    static func line(for event: Value, _ times: Times) -> String {
        let facts = event["facts"].map { JSON.text($0) } ?? ""
        return "\((event["sequence"]?.text ?? "").padded(to: 4)) "
            + "\(times.text(event["at"], hasFraction: true)) "
            + "\((event["kind"]?.text ?? "").padded(to: 22)) \(facts)"
    }
}
