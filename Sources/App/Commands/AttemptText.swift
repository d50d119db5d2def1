import Values

/// One attempt of a run: what was sent and what came back.
struct AttemptText {
    private let attempt: Value
    private let times: Times

    init(_ attempt: Value, _ times: Times) {
        self.attempt = attempt
        self.times = times
    }

    var text: String {
        var lines = ["\(attempt["step"]?.text ?? "") attempt \(attempt["attempt"]?.text ?? ""): \(summary)"]
        if let sent = attempt["sent"], !sent.isNull {
            lines.append("> \(sent["method"]?.text ?? "") \(sent["url"]?.text ?? "")")
            lines += content(of: sent, mark: ">")
        } else if let note = attempt["note"]?.string {
            lines.append("> what was sent is not known: \(note)")
        }
        if let received = attempt["received"], !received.isNull {
            lines.append("< \(received["status"]?.text ?? "")")
            lines += content(of: received, mark: "<")
        } else if let error = attempt["error"], !error.isNull {
            lines.append("< \(error["code"]?.text ?? ""): \(error["message"]?.text ?? "")")
        }
        return lines.joined(separator: "\n")
    }

    private var summary: String {
        let took = attempt["duration_ms"]?.int.map { ", took \(durationText($0))" } ?? ""
        var text = "\(outcome) (\(times.text(attempt["started_at"], hasFraction: true))\(took))"
        if let retry = attempt["retry_at"]?.string {
            text += ", next attempt at \(times.text(.string(retry), hasFraction: true))"
        }
        if let error = attempt["error"]?["code"]?.string { text += ", \(error)" }
        return text
    }

    private var outcome: String {
        switch attempt["outcome"]?.string {
        case "in_flight": "in flight"
        case "repeated": "failed"
        case let outcome: outcome ?? ""
        }
    }

    private func content(of message: Value, mark: String) -> [String] {
        var lines = (message["headers"]?.array ?? []).map {
            "\(mark) \($0[0]?.text ?? ""): \($0[1]?.text ?? "")"
        }
        guard let body = message["body"], !body.isNull else { return lines }
        let text = body.string ?? JSON.text(body)
        lines.append(mark)
        lines += text.split(separator: "\n", omittingEmptySubsequences: false).map { "\(mark) \($0)" }
        let (count, shown) = (Int(message["body_bytes"]?.int ?? 0), text.utf8.count)
        if body.string != nil, shown < count {
            lines.append("\(mark) … (\(counted(count, "byte")) in all)")
        }
        return lines
    }
}
