import Ports
package import Values
import Workflow

/// The start of a run that continues another one: the same trigger, and the outcomes of steps that need no
/// repetition.
///
/// A step keeps its outcome if the original run continued from it: it succeeded, was skipped, or failed under
/// `on_error: continue`. The chosen step, steps that never settled, undone steps, and all steps after any of
/// these run again.
package struct RunFork: Sendable {
    package var start: RunStart
    /// The copied outcomes, with all entries inside groups and strategies, in the original order and without
    /// charges.
    package let copies: [JournalEntry]

    /// The requested retry or fork.
    package struct Wish: Sendable {
        package var kind: RunOrigin.Kind
        /// The top-level step from which to continue; nil for the one that failed.
        package var step: String?
        /// Replaces the trigger's body.
        package var body: Value?
        package var tenantName: String
        package var externalCustomerID: String?
        package var at: Instant

        package init(
            kind: RunOrigin.Kind, step: String? = nil, body: Value? = nil, tenantName: String,
            externalCustomerID: String?, at: Instant
        ) {
            self.kind = kind
            self.step = step
            self.body = body
            self.tenantName = tenantName
            self.externalCustomerID = externalCustomerID
            self.at = at
        }
    }

    /// Why the run cannot be made.
    package enum Refusal: Error, Sendable, Hashable {
        /// The run is not over, and only a finished run can be retried.
        case notOver
        /// The run succeeded.
        case nothingToRetry
        /// The run is ending, and its work is being undone.
        case ending
        /// The workflow has no such top-level step.
        case stepUnknown(String)
        /// The compensation of the step failed, so it is unknown whether its work still stands.
        case undoingFailed(step: String)
        /// The step could keep its outcome, but it is a group or has a strategy in one of the versions only.
        case stepChanged(String)
        /// The step could keep its outcome, but comes after a step of this version that has none.
        case outcomeMissing(of: String, before: String)
    }

    /// - Parameters:
    ///   - run: The original run, folded from `records`.
    ///   - records: Its journal.
    ///   - plan: The plan of the new run: the original one's, or another version's.
    ///   - wish: The requested retry or fork.
    /// - Throws: ``Refusal`` if the run cannot be made.
    package init(
        of run: RunMachine, records: [JournalRecord], onto plan: RunPlan, _ wish: Wish
    ) throws(Refusal) {
        let chosen = try Self.chosenStep(run, plan, wish)
        let kept = try Selection(run: run, plan: plan, chosen: chosen).kept()
        copies = records.compactMap { Self.copy($0.entry, where: kept) }
        guard var start = run.state.start else { throw .ending }
        start.at = wish.at
        start.tenantName = wish.tenantName
        start.externalCustomerID = wish.externalCustomerID
        // The caller of the original run knows its end already, and its turn does not pass to the new run.
        start.parent = nil
        start.concurrencyKey = nil
        start.isQueued = false
        start.fault = nil
        start.origin = RunOrigin(run: run.state.run, kind: wish.kind, step: chosen)
        if let body = wish.body {
            start.body = JSON.bytes(body)
            (start.parsedBody, start.input) = (nil, nil)
            start.sensitive = []
            start.headers.removeAll { $0.name == "content-type" || $0.name == "content-length" }
            start.headers.append(.init("content-type", "application/json"))
        }
        self.start = start
    }

    private static func chosenStep(
        _ run: RunMachine, _ plan: RunPlan, _ wish: Wish
    ) throws(Refusal) -> String? {
        if wish.kind == .retry {
            guard let outcome = run.state.outcome else { throw .notOver }
            guard outcome.status != .succeeded else { throw .nothingToRetry }
            if let step = run.firstStepNotUndone { throw .undoingFailed(step: step) }
            return outcome.failedStep.map(topLevelStep)
        }
        if run.state.final != nil, !run.state.isOver { throw .ending }
        if let ending = run.state.ending, ending.status != .succeeded, !run.state.isOver { throw .ending }
        if let step = wish.step, !plan.hasTopLevelStep(step) { throw .stepUnknown(step) }
        return wish.step
    }

    /// The entry as the new run copies it; nil if it is not copied.
    private static func copy(_ entry: JournalEntry, where kept: Set<String>) -> JournalEntry? {
        switch entry {
        case .stepSettled(let path, var result):
            guard kept.contains(topLevelStep(path)), !isCompensation(path) else { return nil }
            result.interval = nil
            result.isCopied = true
            return .stepSettled(path: path, result)
        case .stepSkipped(let path, _), .stepOpened(let path, _):
            return kept.contains(topLevelStep(path)) ? entry : nil
        default: return nil
        }
    }

    /// The step of the file's own scope that a path lies in or is.
    static func topLevelStep(_ path: String) -> String {
        String(path.prefix { $0 != "/" })
    }

    private static func isCompensation(_ path: String) -> Bool { path.hasSuffix("/compensate") }
}

/// The steps that keep the outcome of the original run.
private struct Selection {
    let run: RunMachine
    let plan: RunPlan
    /// Top-level steps of which a part was undone.
    private let undone: Set<String>
    /// Indexes in `plan`.
    private var withOutcome: Set<Int> = []
    private var toRepeat: Set<Int> = []

    init(run: RunMachine, plan: RunPlan, chosen: String?) {
        self.run = run
        self.plan = plan
        undone = Set(run.stepsUndone(.succeeded))
        for (index, id) in plan.topLevelSteps {
            switch undone.contains(id) ? .toRepeat : run.standing(of: id) {
            case .kept: withOutcome.insert(index)
            case .toRepeat: toRepeat.insert(index)
            case .open: break
            }
            if id == chosen { toRepeat.insert(index) }
        }
        toRepeat = plan.withAllBehind(toRepeat)
    }

    func kept() throws(RunFork.Refusal) -> Set<String> {
        let open = Set(plan.topLevelSteps.map(\.index)).subtracting(withOutcome).subtracting(toRepeat)
        for index in plan.withAllBehind(open).intersection(withOutcome).subtracting(toRepeat).sorted() {
            // A settled step comes after no open one, so the versions differ here.
            if let needed = plan.topLevelPredecessors(of: index).first(where: open.contains) {
                throw .outcomeMissing(of: plan.steps[needed].id, before: plan.steps[index].id)
            }
        }
        let kept = withOutcome.subtracting(toRepeat)
        for index in kept.sorted() where !plan.hasShape(of: run.plan, at: index) {
            throw .stepChanged(plan.steps[index].id)
        }
        return Set(kept.map { plan.steps[$0].id })
    }
}

extension RunMachine {
    fileprivate enum Standing {
        /// The original run continued from its outcome.
        case kept
        /// It failed the run, was undone, or finished the run.
        case toRepeat
        /// It never settled, or the original version did not have it.
        case open
    }

    fileprivate func standing(of id: String) -> Standing {
        guard let index = plan.topLevelIndex(of: id) else { return .open }
        switch state.phase(index) {
        case .skipped: return .kept
        case .failed:
            let failed = (state.final ?? state.ending)?.failedStep.map(RunFork.topLevelStep)
            let isTolerated = plan.steps[index].onError == .continue && failed != id
            return isTolerated ? .kept : .toRepeat
        case .succeeded:
            if case .finish = plan.steps[index].action { return .toRepeat }
            return .kept
        default: return .open
        }
    }

    /// Top-level steps in which a compensation ended in `phase`.
    fileprivate func stepsUndone(_ phase: RunState.Phase) -> [String] {
        state.undoable.compactMap { index in
            // The run never continued from a step that lost its race.
            guard !state.nodes[index].isLost, let compensation = state.nodes[index].compensation,
                state.phase(compensation) == phase
            else { return nil }
            return RunFork.topLevelStep(path(of: index))
        }
    }

    /// A top-level step in which a compensation failed for good.
    fileprivate var firstStepNotUndone: String? { stepsUndone(.failed).first }
}

// MARK: - The file's own steps

extension RunPlan {
    fileprivate var topLevelSteps: [(index: Int, id: String)] {
        (0..<scopes[0].count).map { ($0, steps[$0].id) }
    }

    fileprivate func topLevelIndex(of id: String) -> Int? {
        scopes[0].indexByID[id]
    }

    fileprivate func hasTopLevelStep(_ id: String) -> Bool { topLevelIndex(of: id) != nil }

    /// Whether a top-level step is a group, and has a strategy, exactly if the other plan's step with its id
    /// does.
    fileprivate func hasShape(of other: RunPlan, at index: Int) -> Bool {
        guard let old = other.topLevelIndex(of: steps[index].id) else { return true }
        let isGroup = (innerScope[index] != nil, other.innerScope[old] != nil)
        return isGroup.0 == isGroup.1 && steps[index].strategy?.kind == other.steps[old].strategy?.kind
    }

    fileprivate func topLevelPredecessors(of index: Int) -> [Int] { steps[index].after }

    /// These steps, and all that come after any of them, directly or indirectly.
    fileprivate func withAllBehind(_ first: Set<Int>) -> Set<Int> {
        var all = first
        var waiting = Array(first)
        while let index = waiting.popLast() {
            for dependent in dependents[index] where all.insert(dependent).inserted {
                waiting.append(dependent)
            }
        }
        return all
    }
}
