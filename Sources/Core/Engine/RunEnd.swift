import Ports
package import Storage
package import Values
package import Workflow

/// The run whose end started this one, or one of the runs that called it.
package struct RunCause: Sendable, Hashable {
    package var run: RunID
    /// The length of the chain of ends that led to this run, from 1.
    package var depth: Int

    package init(run: RunID, depth: Int) {
        self.run = run
        self.depth = depth
    }
}

/// The end of a run, as a listening workflow is notified of it.
package struct RunEnd: Sendable {
    /// Longest chain of runs that are started by ends; the end of the last one starts nothing.
    package static let depthMax = 5
    static let keyPrefix = "run_end:"

    /// The run that ended.
    package var run: RunID
    /// The workflow that is notified.
    package var listener: String
    /// The `trigger.body` of the listener's run.
    package var notice: Value
    /// The position of the run among all runs that its root has caused.
    package var lineage: RunLineage
    /// The number of ends that led to the run.
    package var depth: Int

    /// The end of a run; nil if the run is not over.
    ///
    /// - Parameters:
    ///   - machine: The run's machine.
    ///   - listener: The workflow that is notified.
    ///   - at: When the run ended.
    package init?(of machine: RunMachine, for listener: String, at: Instant) {
        guard let outcome = machine.state.outcome, let start = machine.state.start else { return nil }
        run = machine.state.run
        self.listener = listener
        notice = Self.notice(of: outcome, start, machine.plan, run, at: at)
        lineage = start.lineage ?? RunLineage(root: run, ordinal: 0)
        depth = start.cause?.depth ?? 0
    }

    private static func notice(
        of outcome: RunOutcome, _ start: RunStart, _ plan: RunPlan, _ run: RunID, at: Instant
    ) -> Value {
        [
            "run_id": .string("\(run)"), "workflow": .string(plan.definition.name),
            "version": .int(Int64(plan.definition.version)), "outcome": .string(outcome.status.rawValue),
            "error": outcome.errorValue, "output": outcome.output,
            "compensation": outcome.compensation.map { .string($0.rawValue) } ?? .null,
            "finally": outcome.finally.map { .string($0.rawValue) } ?? .null,
            "trigger": .string(start.triggerKind), "parent": start.parent?.value ?? .null,
            "started_at": .string(start.at.text), "finished_at": .string(at.text),
        ]
    }

    /// The key with which the listener starts once.
    package var key: String { Self.key(of: run, for: listener) }

    private static func key(of run: RunID, for listener: String) -> String {
        "\(keyPrefix)\(run)/\(listener)"
    }
}

// MARK: - Stored form

extension RunEnd {
    /// The mail that notifies workflows of a tenant of the end of a run; empty if the run is not over.
    ///
    /// All of it has one body: an output may be large, and is encoded once. Posting it twice has no effect, because the
    /// keys are the same.
    package static func mail(
        of machine: RunMachine, to listeners: [String], of tenant: TenantID, at: Instant
    ) -> [Mail] {
        guard let first = listeners.first, let end = RunEnd(of: machine, for: first, at: at) else {
            return []
        }
        let body = end.body
        return listeners.map { listener in
            Mail(tenant: tenant, key: key(of: end.run, for: listener), body: body, at: at)
        }
    }

    private var body: [UInt8] {
        var facts = FactsWriter()
        facts.text("run", "\(run)")
        facts.value("notice", notice)
        facts.text("root", "\(lineage.root)")
        facts.int("ordinal", Int64(lineage.ordinal))
        facts.int("depth", Int64(depth))
        return facts.finish()
    }

    /// Reads what ``mail(of:to:of:at:)`` wrote; nil for mail of another kind.
    ///
    /// - Throws: ``JournalProblem`` if it cannot be read.
    package init?(_ mail: Mail) throws(JournalProblem) {
        guard mail.place.key.hasPrefix(Self.keyPrefix) else { return nil }
        let values: Value
        do throws(JSONProblem) { values = try JSON.parseKept(mail.body) } catch {
            throw JournalProblem(key: mail.place.key, reason: "it is not JSON: \(error.reason)")
        }
        let facts = FactsReader(key: mail.place.key, values: values, place: "", sealer: nil)
        let run = try facts.run("run")
        self.run = run
        listener = String(mail.place.key.dropFirst(Self.key(of: run, for: "").count))
        notice = values["notice"] ?? .null
        lineage = RunLineage(root: try facts.run("root"), ordinal: Int(clamping: try facts.int("ordinal")))
        depth = Int(clamping: try facts.int("depth"))
    }
}

extension RunPlan {
    /// The first trigger for the end of a run of that workflow with that outcome; a workflow never hears its own.
    package func trigger(forEndOf workflow: String, _ outcome: String) -> Trigger? {
        definition.triggers.first { trigger in
            guard case .run(let rule) = trigger.kind else { return false }
            return rule.admits(workflow: workflow, outcome: outcome)
                && !workflow.hasSameBytes(as: definition.name)
        }
    }
}
