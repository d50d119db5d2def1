import Storage
import Values

// Runs that people make out of others: who asked for them, what they take over, and what may be done again.

/// What somebody asks for: a run made out of another one.
struct ForkOrder: Hashable {
    /// What was known when it was asked for, over all requests for the same.
    struct Given {
        /// Runs that may come of it.
        var runCountMax = 0
        var runCount = 0
        /// Entries that the first run's journal had at least.
        var entryCount = Int.max
        /// Whether the first run was over each time.
        var wasOver = true
    }

    var run: RunID
    /// `retry` or `fork`.
    var kind: String
    /// Of a fork; a retry finds its step by itself.
    var step: String?
}

extension Oracle {
    /// Somebody is going to ask for a run; `runCountMax` is 1 where a key goes with the request.
    func note(_ order: ForkOrder, runCountMax: Int) {
        var given = forkOrders[order] ?? ForkOrder.Given()
        given.runCountMax += runCountMax
        given.entryCount = min(given.entryCount, runs[order.run]?.entries.count ?? 0)
        given.wasOver = given.wasOver && runs[order.run]?.finishedAt != nil
        forkOrders[order] = given
    }

    /// A run has begun: one that was made out of another was asked for, and begins with what that has done.
    func checkOrigin(of known: KnownRun) {
        guard let origin = known.origin else { return }
        let order = ForkOrder(
            run: origin.run, kind: origin.kind, step: origin.kind == "fork" ? origin.step : nil)
        let name = "\(known.run), a \(origin.kind) of \(origin.run),"
        guard let first = runs[origin.run], first.tenant == known.tenant else {
            return complain(.i10, "\(name) comes from a run that is not of its tenant")
        }
        guard var given = forkOrders[order] else { return complain(.i3, "\(name) was asked for by nobody") }
        given.runCount += 1
        forkOrders[order] = given
        if given.runCount > given.runCountMax {
            complain(.i3, "\(name) is the \(given.runCount). of \(given.runCountMax) that were asked for")
        }
        checkCopies(of: known, Succession(from: first, to: known, given))
    }

    private func checkCopies(of known: KnownRun, _ succession: Succession) {
        let name = "\(known.run), made out of \(succession.first.run),"
        for (key, isDone) in succession.due {
            if !known.keys.contains(key) {
                complain(.i3, "\(name) does again what has its \(key)")
            } else if isDone, !known.copied.contains(String(key.dropFirst("outcome/".count))) {
                complain(.i3, "\(name) takes \(key) for its own, and would undo it")
            }
        }
        for path in known.copied.sorted() where !succession.mayTakeOver(path) {
            complain(.i3, "\(name) takes over \(path), which is to be done again")
        }
        let copied = Set(known.copied.map { "outcome/" + $0 })
        for copy in known.entries where copied.contains(copy.key) {
            let first = succession.first.entries.first { $0.key == copy.key }
            if !(first.map { Succession.isSame(copy, $0) } ?? false) {
                complain(.i4, "\(name) says of \(copy.key) what the first has not said")
            }
        }
    }

    /// Why a business that was done under other keys may not be done under this one; nil where it may.
    ///
    /// One run, with all that its steps have called, does it once. Another one may do it where both were
    /// made out of the same: that somebody asked for each, and that it takes over what had been done,
    /// was seen when it began.
    func objection(toRepeatUnder key: String, after earlier: [String]) -> String? {
        guard let run = Self.run(of: key) else { return "the key names no run" }
        for first in earlier.compactMap(Self.run) {
            if caller(of: run) == caller(of: first) { return "both belong to one run" }
            if ancestor(of: run) != ancestor(of: first) {
                return "the runs have nothing to do with each other"
            }
        }
        return nil
    }

    private static func run(of key: String) -> RunID? { RunID(String(key.prefix { $0 != "/" })) }

    /// The run that nobody has called, of those above.
    private func caller(of run: RunID) -> RunID {
        var run = run
        while let parent = runs[run]?.parent { run = parent }
        return run
    }

    /// The run that a trigger has started.
    private func ancestor(of run: RunID) -> RunID {
        var run = run
        while let next = runs[run]?.parent ?? runs[run]?.origin?.run { run = next }
        return run
    }

    /// Counts what lies on the disk at the end.
    func count(into tally: inout Tally) {
        tally.count("send", sendCount)
        tally.count("send to settle", settledCount)
        tally.count("credit", references.count)
        tally.count("depletion", depletionCount)
        tally.count("end of a run heard", heardEnds.count)
        for (order, given) in forkOrders where !given.wasOver {
            tally.count("\(order.kind) of an open run", given.runCount)
        }
        for known in runs.values {
            let kind = known.origin?.kind ?? (known.parent == nil ? "run" : "child")
            for entry in known.entries {
                let isUndoing = entry.key.hasPrefix("outcome/") && entry.key.hasSuffix("/compensate")
                tally.count("entry \(entry.kind)\(isUndoing ? " of an undoing" : "")")
            }
            if let status = known.status { tally.count("end \(kind) \(status)") }
            guard let origin = known.origin else { continue }
            if !known.copied.isEmpty { tally.count("\(kind) with copies") }
            if runs[origin.run]?.digest != known.digest { tally.count("\(kind) onto another version") }
            if runs[origin.run]?.origin != nil { tally.count("\(kind) of a fork") }
            if runs[origin.run]?.parent != nil { tally.count("\(kind) of a child") }
            if known.tenant == .operatorTenant { tally.count("\(kind) of a billing run") }
        }
    }
}

/// What a run takes over from the one that it was made out of, worked out from the file and the journal.
struct Succession {
    let first: KnownRun
    /// Steps of the file's own scope that keep their outcomes, as the first run's journal is now.
    private let kept: Set<String>
    /// Those that may, where the first run has gone on since.
    private let admitted: Set<String>
    private let given: ForkOrder.Given

    /// - Parameters:
    ///   - first: The first run, as it is now.
    ///   - known: The new one, whose workflow may be another version.
    ///   - given: When it was asked for.
    init(from first: KnownRun, to known: KnownRun, _ given: ForkOrder.Given) {
        self.first = first
        self.given = given
        let chosen = Set([known.origin?.step].compactMap { $0 })
        var redone = chosen
        var (kinds, failedStep): ([String: String], String?) = ([:], nil)
        for entry in first.entries {
            let facts = (try? JSON.parse(entry.facts)) ?? .null
            if entry.kind == "run.finished" { failedStep = facts["step"]?.string.map(Self.own) }
            guard entry.key.hasPrefix("outcome/"), let path = facts["path"]?.string else { continue }
            if path.hasSuffix("/compensate") {
                // The first run never went on from what lost a race.
                let isLost = first.lost.contains(String(path.dropLast("/compensate".count)))
                if entry.kind == "step.succeeded", !isLost { redone.insert(Self.own(path)) }
            } else if !path.contains("/") {
                kinds[path] = entry.kind
            }
        }
        for step in first.blueprint.ownSteps {
            let hasFailed = kinds[step.id] == "step.failed"
            if hasFailed, !step.isTolerated || step.id == failedStep { redone.insert(step.id) }
            if kinds[step.id] == "step.succeeded", step.isFinish { redone.insert(step.id) }
        }
        let here = Set(known.blueprint.ownSteps.map(\.id))
        kept = here.intersection(kinds.keys).subtracting(known.blueprint.withAllBehind(redone))
        admitted =
            given.wasOver
            ? kept : here.intersection(kinds.keys).subtracting(known.blueprint.withAllBehind(chosen))
    }

    /// Keys of the entries that the new run must begin with, and whether each says that something was done.
    ///
    /// Of a first run that went on meanwhile, those which it had when the new one was asked for.
    var due: [(key: String, isDone: Bool)] {
        let entries = given.wasOver ? first.entries[...] : first.entries.prefix(given.entryCount)
        let settled = Set(entries.map(\.key))
        return entries.compactMap { entry in
            guard let path = Self.path(of: entry.key), !path.hasSuffix("/compensate"),
                kept.contains(Self.own(path)), settled.contains("outcome/" + Self.own(path))
            else { return nil }
            return (entry.key, entry.kind == "step.succeeded" || entry.kind == "step.failed")
        }
    }

    /// Whether an outcome may be taken over.
    func mayTakeOver(_ path: String) -> Bool { admitted.contains(Self.own(path)) }

    /// Whether a copy says what the first entry says, without its time and its price.
    static func isSame(_ copy: StoredEntry, _ first: StoredEntry) -> Bool {
        guard let copied = try? JSON.parse(copy.facts), let facts = try? JSON.parse(first.facts) else {
            return false
        }
        return copy.kind == first.kind && copy.body == first.body && copy.chargeMilliseconds == 0
            && lasting(copied) == lasting(facts)
    }

    private static func lasting(_ facts: Value) -> [String: Value] {
        var lasting: [String: Value] = [:]
        for member in facts.object?.members ?? [] where !["start", "end", "copied"].contains(member.name) {
            lasting[member.name] = member.value
        }
        return lasting
    }

    private static func path(of key: String) -> String? {
        for prefix in ["outcome/", "open/"] where key.hasPrefix(prefix) {
            return String(key.dropFirst(prefix.count))
        }
        return nil
    }

    /// The step of the file's own scope that a path lies in or is.
    private static func own(_ path: String) -> String { String(path.prefix { $0 != "/" }) }
}
