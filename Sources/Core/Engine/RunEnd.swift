import Ports
package import Storage
package import Values
package import Workflow

/// Which run's end started this one.
package struct RunCause: Sendable, Hashable {
    package var run: RunID
    /// Ends of runs that led to this one, one after the other; from 1.
    package var depth: Int

    package init(run: RunID, depth: Int) {
        self.run = run
        self.depth = depth
    }
}

/// The end of a run, as a workflow hears of it that listens to the ends of others.
package struct RunEnd: Sendable {
    /// Starts by ends, one after the other, that lead to more of them; the end of the last starts nothing.
    package static let depthMax = 5
    static let keyPrefix = "run_end:"

    /// Whose end it is.
    package var run: RunID
    /// The workflow that hears of it.
    package var listener: String
    /// What `trigger.body` is there.
    package var notice: Value
    /// Where the run stood among all that its first start has led to.
    package var lineage: RunLineage
    /// How many ends have led to the run.
    package var depth: Int

    /// - Parameters:
    ///   - machine: Of a run that is over.
    ///   - listener: Who hears of it.
    ///   - at: When it ended.
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

    /// Under it the listener starts once.
    package var key: String { "\(Self.keyPrefix)\(run)/\(listener)" }
}

// MARK: - Stored form

extension RunEnd {
    package func mail(to tenant: TenantID, at: Instant) -> Mail {
        var facts = FactsWriter()
        facts.text("run", "\(run)")
        facts.text("listener", listener)
        facts.value("notice", notice)
        facts.text("root", "\(lineage.root)")
        facts.int("ordinal", Int64(lineage.ordinal))
        facts.int("depth", Int64(depth))
        return Mail(tenant: tenant, key: key, body: facts.finish(), at: at)
    }

    /// Reads what ``mail(to:at:)`` wrote; nil for mail of another kind.
    ///
    /// - Throws: ``JournalProblem`` if it cannot be read.
    package init?(_ mail: Mail) throws(JournalProblem) {
        guard mail.place.key.hasPrefix(Self.keyPrefix) else { return nil }
        let values: Value
        do throws(JSONProblem) { values = try JSON.parseKept(mail.body) } catch {
            throw JournalProblem(key: mail.place.key, reason: "it is not JSON: \(error.reason)")
        }
        let facts = FactsReader(key: mail.place.key, values: values, place: "", sealer: nil)
        run = try facts.run("run")
        listener = try facts.text("listener")
        notice = values["notice"] ?? .null
        lineage = RunLineage(root: try facts.run("root"), ordinal: Int(clamping: try facts.int("ordinal")))
        depth = Int(clamping: try facts.int("depth"))
    }
}

extension RunPlan {
    /// The first trigger that hears of such an end.
    package func trigger(forEndOf workflow: String, _ outcome: String) -> Trigger? {
        definition.triggers.first { trigger in
            guard case .run(let rule) = trigger.kind else { return false }
            return rule.admits(workflow: workflow, outcome: outcome)
                && !workflow.hasSameBytes(as: definition.name)
        }
    }
}
