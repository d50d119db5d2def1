import Ports
import Schedules
import Values

/// The `schedule` trigger; the calendar checks the fields of `cron` and the zones.
extension WorkflowDecoder {
    private static let scheduleKeys = ["type", "cron", "timezone", "overlap", "catch_up"]

    mutating func schedule(_ node: Node) -> Trigger? {
        guard let fields = fields(of: node, as: "a schedule trigger", known: Self.scheduleKeys) else {
            return nil
        }
        var rule = ScheduleRule(cron: "")
        if let zone = fields["timezone"].flatMap({ timeZone($0) }) { rule.timeZone = zone }
        if let node = fields["overlap"], let name = text(node, as: "overlap") {
            if let overlap = ScheduleRule.Overlap(rawValue: name) {
                rule.overlap = overlap
            } else {
                noteChoice(name, at: node.mark, "a value of overlap", ["skip", "queue", "allow"])
            }
        }
        if let node = fields["catch_up"], let name = text(node, as: "catch_up") {
            if let catchUp = ScheduleRule.CatchUp(rawValue: name) {
                rule.catchUp = catchUp
            } else {
                noteChoice(name, at: node.mark, "a value of catch_up", ["none", "one", "all"])
            }
        }
        guard let cron = required("cron", in: fields, at: node).flatMap({ self.cron($0) }) else { return nil }
        rule.cron = cron
        return Trigger(kind: .schedule(rule))
    }

    /// The five fields, separated by single blanks, or an alias such as `@daily`.
    private mutating func cron(_ node: Node) -> String? {
        guard let text = text(node, as: "cron") else { return nil }
        let order = "minute, hour, day of month, month, day of week, as in \"0 9 * * 1-5\""
        let fields = CronExpression.fields(of: text)
        let isNamed = fields.first?.hasPrefix("@") ?? false
        if isNamed, let name = fields.first, (try? CronExpression(text)) != nil { return String(name) }
        guard fields.count == 5 else {
            let count = "\(fields.count) field\(fields.count == 1 ? "" : "s")"
            note(
                .badCron, at: node.mark,
                isNamed ? "\(quote(text)) is not a cron text" : "cron has 5 fields, not \(count)",
                hint: fields.count == 6 ? "there is none for seconds or years: \(order)" : "write \(order)")
            return nil
        }
        for field in fields where !Self.isCronField(field) {
            let offset = text.utf8.distance(from: text.startIndex, to: field.startIndex)
            note(
                .badCron, at: node.mark(ofByte: offset), "\(quote(String(field))) is no field of cron",
                hint: "a field holds digits, names such as MON, and * , - /")
            return nil
        }
        do throws(CronProblem) { _ = try CronExpression(text) } catch {
            note(.badCron, at: node.mark(ofByte: error.offset), error.message, hint: "write \(order)")
            return nil
        }
        return fields.joined(separator: " ")
    }

    private static func isCronField(_ field: Substring) -> Bool {
        let marks = Set("*,-/".utf8)
        return field.utf8.count <= 200
            && field.utf8.allSatisfy { Naming.isLetter($0) || Naming.isDigit($0) || marks.contains($0) }
    }

    private mutating func timeZone(_ node: Node) -> String? {
        guard let name = text(node, as: "timezone") else { return nil }
        if Naming.isTimeZoneName(name) {
            guard let timeZones else { return name }
            do throws(TimeZoneError) {
                _ = try timeZones.rules(of: name)
                return name
            } catch {
                note(
                    .badTimeZone, at: node.mark, error.description,
                    hint: "write one of the time zone database, such as Europe/Berlin or UTC")
                return nil
            }
        }
        note(
            .badTimeZone, at: node.mark, "\(quote(name)) is not a name of a time zone",
            hint: "write one of the time zone database, such as Europe/Berlin or UTC")
        return nil
    }
}
