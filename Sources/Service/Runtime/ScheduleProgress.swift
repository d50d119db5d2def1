import Values
import Workflow

/// How far schedules have been handled, as the store keeps it.
struct ScheduleProgress {
    struct Waiter {
        var tenant: TenantID
        var workflow: String
        var at: Instant
        /// Its own trigger's, as it was when it came due; a workflow may have several.
        var overlap: ScheduleRule.Overlap
    }

    /// Every occurrence up to it has been started or dropped, except those that wait.
    var until: Instant
    /// The latest that `until` has ever been: less than that once a clock was set back.
    var furthest: Instant
    var waiting: [Waiter]

    init(until: Instant, furthest: Instant, waiting: [Waiter]) {
        self.until = until
        self.furthest = furthest
        self.waiting = waiting
    }

    /// Nil for nothing, or for what no version of ours has written.
    init?(_ bytes: [UInt8]?) {
        guard let bytes, let value = try? JSON.parse(bytes),
            case .int(let until)? = value["until_us"]
        else { return nil }
        self.until = Instant(microseconds: until)
        furthest = Instant(microseconds: value["furthest_us"]?.int ?? until)
        waiting = (value["waiting"]?.array ?? []).compactMap { item in
            guard let tenant = item["tenant"]?.string.flatMap({ TenantID($0) }),
                let workflow = item["workflow"]?.string, case .int(let at)? = item["at_us"],
                let overlap = item["overlap"]?.string.flatMap({ ScheduleRule.Overlap(rawValue: $0) })
            else { return nil }
            return Waiter(
                tenant: tenant, workflow: workflow, at: Instant(microseconds: at), overlap: overlap)
        }
    }

    var bytes: [UInt8] {
        let waiting: [Value] = waiting.map { waiter in
            [
                "tenant": .string("\(waiter.tenant)"), "workflow": .string(waiter.workflow),
                "at_us": .int(waiter.at.microseconds), "overlap": .string(waiter.overlap.rawValue),
            ]
        }
        return JSON.bytes([
            "until_us": .int(until.microseconds), "furthest_us": .int(furthest.microseconds),
            "waiting": .array(waiting),
        ])
    }
}
