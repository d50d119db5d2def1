import Billing
import Storage
import Values

/// What the oracle has seen of a run's journal.
struct KnownRun {
    let run: RunID
    let tenant: TenantID
    let workflow: String
    /// Of the version that it follows.
    let digest: [UInt8]
    let blueprint: Blueprint
    var entries: [StoredEntry] = []
    var keys: Set<String> = []
    /// Paths with an outcome.
    var settled: Set<String> = []
    /// When the oracle saw that it pauses; nil while it does not.
    var pausedAt: Instant?
    /// When the oracle saw that a person paused it; nil while nobody has.
    var heldAt: Instant?
    /// Whether it waits for others with its concurrency key.
    var isQueued = false
    /// Whether its start was wrong, so that it does nothing and fails.
    private var isFaulty = false
    var concurrencyKey: String?
    /// Whether something has been recorded that ends the run once nothing is in flight.
    var isEnding = false
    /// Whether that was a cancel, the timeout, the size or the output, after which no step may begin.
    var mustEnd = false
    /// Whether only what comes at the end is left.
    var isFinalizing = false
    /// Whether that was cut short.
    var isCut = false
    /// Paths that were under way when something around them ended, or the run paused.
    var listed: Set<String> = []
    var finishedAt: Instant?
    /// How it ended.
    var status: String?
    /// What it was made out of; nil for a run that a trigger or a step has started.
    var origin: RunOrigin?
    /// The run whose step has called it.
    var parent: RunID?
    /// The run whose end started it.
    var cause: RunID?
    /// Paths whose outcomes it has taken over from its origin.
    var copied: Set<String> = []
    var charged: Int64 = 0
    private var meter = Meter()
    /// Steps that succeeded, and what has been undone, in that order.
    private var (succeeded, undone): ([String], [String]) = ([], [])
    /// Of those that succeeded, the ones whose race had been won by another before.
    private(set) var lost: [String] = []

    /// As `run.started` says it.
    struct RunOrigin {
        var run: RunID
        /// `retry` or `fork`.
        var kind: String
        var step: String?

        init?(_ facts: Value) {
            guard let run = facts["run"]?.string.flatMap({ RunID($0) }), let kind = facts["kind"]?.string
            else { return nil }
            (self.run, self.kind, self.step) = (run, kind, facts["step"]?.string)
        }
    }

    init(record: RunRecord, blueprint: Blueprint) {
        run = record.run
        tenant = record.tenant
        workflow = record.workflow
        digest = record.digest
        self.blueprint = blueprint
    }

    /// Takes the next entry in and returns what is wrong with it.
    mutating func take(_ entry: StoredEntry, at now: Instant, checksCharges: Bool) -> [(Invariant, String)] {
        var wrong: [(Invariant, String)] = []
        func complain(_ invariant: Invariant, _ text: String) {
            wrong.append((invariant, "\(run) \(workflow): \(text)"))
        }
        if entry.sequence != Int64(entries.count) + 1 {
            complain(.i2, "\(entry.key) has sequence \(entry.sequence) after \(entries.count) entries")
        }
        if !keys.insert(entry.key).inserted { complain(.i2, "the key \(entry.key) is recorded twice") }
        if finishedAt != nil { complain(.i4, "\(entry.key) is recorded after the end") }
        let facts = (try? JSON.parse(entry.facts)) ?? .null
        var expected: Int64 = 0
        if let start = facts["start"]?.int, let end = facts["end"]?.int {
            expected = meter.charge(
                Meter.Interval(start: Instant(microseconds: start), end: Instant(microseconds: end)))
        }
        switch entry.kind {
        case "step.succeeded", "step.failed", "step.skipped":
            let path = facts["path"]?.string ?? ""
            if isFinalizing != (path == "finally" || path.hasPrefix("finally/")) {
                complain(
                    .i11, "\(path) has an outcome \(isFinalizing ? "after" : "before") the run's end began")
            }
            if !settled.insert(path).inserted { complain(.i2, "a second outcome of \(path) is recorded") }
            if facts["copied"]?.bool == true {
                // What another run did is that run's to undo, and ends nothing here.
                copied.insert(path)
            } else {
                if isFaulty { complain(.i1, "it could not start, and has done a step") }
                note(path, entry.kind)
                if entry.kind == "step.failed" { isEnding = isEnding || facts["error"] != nil }
            }
        case "run.paused": pausedAt = now
        case "run.resumed": pausedAt = nil
        case "run.held": heldAt = now
        case "run.released": heldAt = nil
        case "run.started":
            isQueued = facts["queued"]?.bool ?? false
            isFaulty = facts["error"] != nil
            concurrencyKey = facts["concurrency_key"]?.string
            origin = facts["origin"].flatMap { RunOrigin($0) }
            parent = facts["parent_run"]?.string.flatMap { RunID($0) }
            // A child carries the cause of its parent on.
            cause = parent == nil ? facts["cause_run"]?.string.flatMap { RunID($0) } : nil
        case "run.admitted": isQueued = false
        case "run.cancel_requested":
            // It also ends a pause by a person.
            heldAt = nil
            (isEnding, mustEnd) = (true, true)
        case "run.timed_out", "run.too_large", "run.output_failed": (isEnding, mustEnd) = (true, true)
        case "run.finalizing":
            if isQueued { complain(.i11, "it never had its turn, and what comes at the end begins") }
            (isFinalizing, mustEnd, status) = (true, false, facts["status"]?.string)
            wrong += checkUndone()
        case "run.finally_cut":
            heldAt = nil
            (isCut, isEnding, mustEnd) = (true, true, true)
        case "steps.in_flight": listed.formUnion((facts["paths"]?.array ?? []).compactMap(\.string))
        case "run.finished":
            expected += meter.chargeRemainder()
            finishedAt = entry.at
            let decided = status
            status = facts["status"]?.string
            wrong += isFinalizing ? checkFinally(facts["finally"]?.string, decided) : checkUndone()
            if isFaulty, status != "failed" { complain(.i11, "it could not start, and did not fail") }
            if !isFinalizing, !isQueued, !isFaulty, !blueprint.finallyPaths.isEmpty {
                complain(.i11, "it is over, and what comes at the end never began")
            }
        default: break
        }
        if checksCharges, entry.chargeMilliseconds != expected {
            complain(.i7, "\(entry.key) charges \(entry.chargeMilliseconds) ms and took \(expected) ms")
        }
        charged += entry.chargeMilliseconds
        entries.append(entry)
        return wrong
    }

    /// What was done by a run that did not succeed is undone, the last first.
    private func checkUndone() -> [(Invariant, String)] {
        let due = (status == "succeeded" ? lost : succeeded).reversed().filter { blueprint.canUndo($0) }
        // What lost a race may be undone before a run fails by its output.
        if undone == due || !lost.isEmpty && undone.sorted() == due.sorted() { return [] }
        return [(.i11, "\(run) \(workflow): undone were \(undone), due were \(due)")]
    }

    /// What comes at the end has ended, and has changed nothing about the rest.
    private func checkFinally(_ word: String?, _ decided: String?) -> [(Invariant, String)] {
        var wrong: [(Invariant, String)] = []
        let open = blueprint.finallyPaths.filter { !settled.contains($0) }
        if word == "succeeded", !open.isEmpty || isCut {
            wrong.append((.i11, "\(run) \(workflow): it is over, and without an end are \(open)"))
        }
        if word != "succeeded", word != "failed" || !isCut && !settled.contains("finally") {
            wrong.append((.i11, "\(run) \(workflow): its `finally` is \(word ?? "missing")"))
        }
        if decided != status {
            wrong.append((.i11, "\(run) \(workflow): it was \(decided ?? "") and is \(status ?? "")"))
        }
        return wrong
    }

    private mutating func note(_ path: String, _ kind: String) {
        if path.hasSuffix("/compensate") {
            undone.append(String(path.dropLast("/compensate".count)))
        } else if kind == "step.succeeded" {
            succeeded.append(path)
            let around = blueprint.place(of: path)?.around ?? []
            if around.contains(where: { settled.contains($0) && $0 != path }) { lost.append(path) }
        }
    }
}
