package import Ports
package import Values

extension RunPlan {
    /// Whether any step has a `when`.
    package var hasGuards: Bool { steps.contains { $0.guardExpression != nil } }
}

extension RunMachine {
    /// A step's `when` for people: its text, whether it was true, and what it read.
    ///
    /// Null if the step has none. `holds` is null if the guard was not evaluated or failed.
    func guardFacts(_ index: Int, _ timeline: RunTimeline, in surroundings: Surroundings?) -> Value {
        let node = state.nodes[index]
        guard node.item == 0, let expression = plan.steps[node.step].guardExpression else { return .null }
        var facts = Object()
        facts["expression"] = .string(expression.text)
        let holds = guardHolds(index, timeline)
        facts["holds"] = holds.map { .bool($0) } ?? .null
        let isAsked = holds != nil || state.phase(index) == .failed
        if isAsked, let surroundings {
            let scope = RunScope(
                state: state, plan: plan, surroundings: surroundings, frame: state.scopeFrame(of: index),
                item: nil, node: index, response: nil, meter: nil, at: nil)
            facts["reads"] = Redaction(surroundings.redactor, state.sensitive).redact(
                GuardReads.values(in: expression.text, scope))
        } else {
            facts["reads"] = [:]
        }
        return .object(facts)
    }

    private func guardHolds(_ index: Int, _ timeline: RunTimeline) -> Bool? {
        switch state.phase(index) {
        case .skipped: timeline.history.skipReason(of: path(of: index)) == .guardFalse ? false : nil
        // A step may have failed in its guard, before its request; then it did nothing.
        case .failed: state.result(index)?.error?.message.hasPrefix("when: ") == true ? nil : true
        case .pending, .ready, .cancelled: nil
        case .inFlight, .waitingRetry, .sleeping, .waiting, .calling, .open, .succeeded: true
        }
    }
}

/// The meaning of a guard's value.
package enum GuardReading {
    /// Whether the value is true; null counts as false.
    ///
    /// - Throws: ``ExpressionFailure/notAValue(reason:)`` for anything but true, false and null.
    package static func isTrue(_ value: Value) throws(ExpressionFailure) -> Bool {
        switch value {
        case .bool(let flag): return flag
        case .null: return false
        default:
            throw .notAValue(
                reason: "a guard gives true, false or null, and this one gave a \(value.kindName)")
        }
    }
}
