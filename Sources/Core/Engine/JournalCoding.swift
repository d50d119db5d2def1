import Billing
import Ports
package import Storage
package import Values

// The stored form of a record. Every later version must read what this one writes, so kinds, keys and names
// of facts are never reused with another meaning.
//
//   kind                 key                       facts                                   body
//   run.started          start                     trigger, headers, query, tenant,
//                                                  origin, input, …                        as it came
//   step.succeeded       outcome/<path>            path, attempts, start, end, status, …   of the answer
//   step.failed          outcome/<path>            the same and error                      of the answer
//   step.skipped         outcome/<path>            path, reason                            -
//   step.attempt_failed  attempt/<path>#<n>        path, attempt, error, retry_at, …       -
//   step.opened          open/<path>               path, over                              -
//   step.sleeping        sleep/<path>              path, until, wall                       -
//   step.waiting         wait/<path>               path, until, wall                       -
//   step.calling         call/<path>               path, child                             -
//   steps.in_flight      in_flight/<sequence>      paths                                   -
//   signal.received      signal/<id>               id, name, body                          -
//   run.timed_out        timeout                   -                                       -
//   run.too_large        size                      max                                     -
//   run.output_failed    output                    error                                   -
//   run.paused           pause/<sequence>          -                                       -
//   run.admitted         admission                 -                                       -
//   run.resumed          resume/<sequence>         -                                       -
//   run.held             hold/<sequence>           reason                                  -
//   run.released         release/<sequence>        -                                       -
//   run.cancel_requested cancel                    reason                                  -
//   run.finalizing       finalizing                status, output, error, step, …          -
//   run.finally_cut      finally_cut               error                                   -
//   run.finished         finish                    status, output, error, step, …          -
//   clock.stepped        clock/<sequence>          by                                      -
//
// Instants are microseconds since 1970, and `by` is in microseconds, as integers. Facts are JSON, but for content that
// is not UTF-8: `~"<base64>"`.

extension JournalRecord {
    /// The stored form of a record without sensitive values.
    package var stored: StoredEntry { stored(of: RunID(number: 0), by: nil) }

    /// The stored form of a record.
    ///
    /// - Parameters:
    ///   - run: The run, to which sealed values are bound.
    ///   - sealer: Seals sensitive values; without one they are omitted.
    /// - Returns: The input of ``init(stored:of:by:)``.
    package func stored(of run: RunID, by sealer: (any JournalSealer)?) -> StoredEntry {
        var facts = FactsWriter()
        var body: [UInt8]?
        let key: String
        let kind: String
        switch entry {
        case .runStarted(let start):
            (key, kind, body) = ("start", "run.started", start.body)
            facts.write(start)
            facts.write(start.sensitive, place: "\(run)/\(key)", sealer)
        case .stepSettled(let path, let result):
            (key, kind) = ("outcome/" + path, result.error == nil ? "step.succeeded" : "step.failed")
            facts.text("path", path)
            body = facts.write(result)
            facts.write(result.sensitive, place: "\(run)/\(key)", sealer)
        case .stepSkipped(let path, let reason):
            (key, kind) = ("outcome/" + path, "step.skipped")
            facts.text("path", path)
            facts.text("reason", reason.rawValue)
        case .attemptFailed(let path, let attempt, let error, let interval, let retryAt, let madeAt):
            (key, kind) = ("attempt/\(path)#\(attempt)", "step.attempt_failed")
            facts.text("path", path)
            facts.int("attempt", Int64(attempt))
            facts.write(error)
            facts.write(interval)
            facts.int("retry_at", retryAt.microseconds)
            if let madeAt { facts.int("made_at", madeAt.microseconds) }
        case .stepOpened(let path, let over):
            (key, kind) = ("open/" + path, "step.opened")
            facts.text("path", path)
            if let over {
                facts.value("over", over.shown)
                facts.write(over.parts, place: "\(run)/\(key)", sealer)
            }
        case .stepSleeping(let path, let until, let isWallTime):
            (key, kind) = ("sleep/" + path, "step.sleeping")
            facts.text("path", path)
            facts.int("until", until.microseconds)
            if isWallTime { facts.value("wall", true) }
        case .stepWaiting(let path, let until, let isWallTime):
            (key, kind) = ("wait/" + path, "step.waiting")
            facts.text("path", path)
            if let until { facts.int("until", until.microseconds) }
            if isWallTime { facts.value("wall", true) }
        case .stepCalling(let path, let child):
            (key, kind) = ("call/" + path, "step.calling")
            facts.text("path", path)
            facts.text("child", "\(child)")
        case .stepsInFlight(let paths):
            (key, kind) = ("in_flight/\(sequence)", "steps.in_flight")
            facts.value("paths", .array(paths.map { .string($0) }))
        case .signalReceived(let signal):
            (key, kind) = ("signal/" + signal.id, "signal.received")
            facts.write(signal)
        case .runTimedOut: (key, kind) = ("timeout", "run.timed_out")
        case .runTooLarge(let byteCountMax):
            (key, kind) = ("size", "run.too_large")
            facts.int("max", Int64(byteCountMax))
        case .outputFailed(let error):
            (key, kind) = ("output", "run.output_failed")
            facts.write(error)
        case .runPaused: (key, kind) = ("pause/\(sequence)", "run.paused")
        case .runAdmitted: (key, kind) = ("admission", "run.admitted")
        case .runResumed: (key, kind) = ("resume/\(sequence)", "run.resumed")
        case .runHeld(let reason):
            (key, kind) = ("hold/\(sequence)", "run.held")
            facts.text("reason", reason)
        case .runReleased: (key, kind) = ("release/\(sequence)", "run.released")
        case .cancelRequested(let reason):
            (key, kind) = ("cancel", "run.cancel_requested")
            facts.text("reason", reason)
        case .runFinalizing(let outcome):
            (key, kind) = ("finalizing", "run.finalizing")
            facts.write(outcome)
        case .finallyCut(let error):
            (key, kind) = ("finally_cut", "run.finally_cut")
            facts.write(error)
        case .runFinished(let outcome):
            (key, kind) = ("finish", "run.finished")
            facts.write(outcome)
        case .clockStepped(let step):
            (key, kind) = ("clock/\(sequence)", "clock.stepped")
            facts.int("by", step.microseconds)
        }
        return StoredEntry(
            key: key, sequence: sequence, kind: kind, at: at, facts: facts.finish(), body: body,
            chargeMilliseconds: chargeMilliseconds)
    }

    /// Reads what ``stored(of:by:)`` wrote, in this or an earlier version.
    ///
    /// - Parameters:
    ///   - stored: The entry.
    ///   - run: Its run.
    ///   - sealer: Opens sensitive values; without one, masks stay in their places.
    /// - Throws: ``JournalProblem`` if the kind is unknown, a fact is missing, or the sealed values cannot be
    ///   opened.
    package init(
        stored: StoredEntry, of run: RunID = RunID(number: 0), by sealer: (any JournalSealer)? = nil
    ) throws(JournalProblem) {
        let facts: FactsReader
        do throws(JSONProblem) {
            facts = FactsReader(
                key: stored.key, values: try JSON.parseKept(stored.facts), place: "\(run)/\(stored.key)",
                sealer: sealer)
        } catch {
            throw JournalProblem(key: stored.key, reason: "its facts are not JSON: \(error.reason)")
        }
        let entry: JournalEntry
        switch stored.kind {
        case "run.started": entry = .runStarted(try facts.runStart(body: stored.body ?? [], at: stored.at))
        case "step.succeeded", "step.failed":
            entry = .stepSettled(path: try facts.text("path"), try facts.stepResult(body: stored.body))
        case "step.skipped":
            entry = .stepSkipped(path: try facts.text("path"), reason: try facts.token("reason"))
        case "step.attempt_failed":
            entry = .attemptFailed(
                path: try facts.text("path"), attempt: Int(try facts.int("attempt")),
                error: try facts.error(),
                interval: try facts.interval(), retryAt: Instant(microseconds: try facts.int("retry_at")),
                madeAt: facts.instant("made_at"))
        case "step.opened":
            let parts = try facts.sensitive()
            entry = .stepOpened(
                path: try facts.text("path"), over: facts.values["over"].map { GuardedValue($0, parts) })
        case "step.sleeping":
            entry = .stepSleeping(
                path: try facts.text("path"), until: Instant(microseconds: try facts.int("until")),
                isWallTime: facts.values["wall"]?.bool == true)
        case "step.waiting":
            entry = .stepWaiting(
                path: try facts.text("path"),
                until: facts.instant("until"),
                isWallTime: facts.values["wall"]?.bool == true)
        case "step.calling":
            entry = .stepCalling(path: try facts.text("path"), child: try facts.run("child"))
        case "steps.in_flight": entry = .stepsInFlight(paths: try facts.texts("paths"))
        case "signal.received": entry = .signalReceived(try facts.signal(prefix: ""))
        case "run.timed_out": entry = .runTimedOut
        case "run.too_large": entry = .runTooLarge(byteCountMax: Int(clamping: try facts.int("max")))
        case "run.output_failed": entry = .outputFailed(try facts.error())
        case "run.paused": entry = .runPaused
        case "run.admitted": entry = .runAdmitted
        case "run.resumed": entry = .runResumed
        case "run.held": entry = .runHeld(reason: try facts.text("reason"))
        case "run.released": entry = .runReleased
        case "run.cancel_requested": entry = .cancelRequested(reason: try facts.text("reason"))
        case "run.finalizing": entry = .runFinalizing(try facts.runOutcome())
        case "run.finally_cut": entry = .finallyCut(try facts.error())
        case "run.finished": entry = .runFinished(try facts.runOutcome())
        case "clock.stepped": entry = .clockStepped(by: .microseconds(try facts.int("by")))
        default:
            throw JournalProblem(
                key: stored.key, reason: "its kind \(stored.kind) is unknown to this version")
        }
        self.init(
            sequence: stored.sequence, at: stored.at, chargeMilliseconds: stored.chargeMilliseconds,
            entry: entry)
    }
}

/// A stored entry that cannot be read; the run stays as it is until a person looks at it.
package struct JournalProblem: Error, Sendable, Hashable {
    package var key: String
    package var reason: String

    package init(key: String, reason: String) {
        self.key = key
        self.reason = reason
    }
}
