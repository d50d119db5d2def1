import Values

/// A workflow as `millrace workflows NAME` shows it.
struct WorkflowText {
    private let record: Value
    private let times: Times

    init(_ record: Value, _ times: Times) {
        self.record = record
        self.times = times
    }

    var text: String {
        ([facts] + [schedules, refusals, versions].compactMap(\.self)).joined(separator: "\n\n")
    }

    private var facts: String {
        var rows = [
            ("workflow", record["name"]?.text ?? ""), ("number", record["number"]?.text ?? ""),
            ("digest", record["digest"]?.text ?? ""), ("deployed", times.text(record["deployed_at"])),
            ("triggers", (record["triggers"]?.array ?? []).map(\.text).joined(separator: ", ")),
        ]
        if let description = record["description"]?.string { rows.append(("about", description)) }
        if let url = record["hook_url"]?.string { rows.append(("webhook", url)) }
        return rows.map { "\($0.0):".padded(to: 10) + $0.1 }.joined(separator: "\n")
    }

    private var schedules: String? {
        var table = TextTable(["SCHEDULE", "TIME ZONE", "NEXT"])
        for schedule in record["schedules"]?.array ?? [] {
            let next = times.text(schedule["next_at"])
            table.add([
                schedule["cron"]?.text ?? "", schedule["timezone"]?.text ?? "", next.isEmpty ? "never" : next,
            ])
        }
        return table.isEmpty ? nil : table.text
    }

    private var refusals: String? {
        var table = TextTable(["REFUSED", "TIMES", "LAST", "WHY"], rightAligned: [1])
        for refusal in record["refusals"]?.array ?? [] {
            table.add([
                refusal["reason"]?.text ?? "", refusal["count"]?.text ?? "", times.text(refusal["last_at"]),
                refusal["last_detail"]?.text ?? "",
            ])
        }
        return table.isEmpty ? nil : table.text
    }

    private var versions: String? {
        let versions = record["versions"]?.array ?? []
        return versions.isEmpty ? nil : Self.table(ofVersions: versions, times).text
    }

    static func table(ofVersions versions: [Value], _ times: Times) -> TextTable {
        var table = TextTable(["VERSION", "DEPLOYED", "DIGEST", ""], rightAligned: [0])
        for version in versions {
            table.add([
                version["number"]?.text ?? "", times.text(version["deployed_at"]),
                version["digest"]?.text ?? "", version["is_live"]?.bool == true ? "live" : "",
            ])
        }
        return table
    }
}
