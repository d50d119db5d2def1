import Billing
import Ports
import Values
import Workflow

// What a step does when it starts, and how it settles.

extension Turn {
    /// The expression time from which a turn's computing is charged as run time.
    private static let chargedTimeMin = Duration.milliseconds(5)

    mutating func startStep(_ index: Int) {
        let step = step(index)
        // Only the step's own guard counts; all of its items run.
        if machine.state.nodes[index].item > 0 { return act(index, step) }
        if isSkippedWithAll(index, step) { return skip(index, .allSkipped) }
        do throws(ExpressionFailure) {
            guard try isGuardTrue(step, index) else { return skip(index, .guardFalse) }
        } catch {
            return fail(index, stepError(error, in: "when"))
        }
        act(index, step)
    }

    /// Whether all steps that the step waits for were skipped.
    private func isSkippedWithAll(_ index: Int, _ step: PlannedStep) -> Bool {
        guard !step.after.isEmpty else { return false }
        let first = machine.state.frames[machine.state.nodes[index].frame].first
        return step.after.allSatisfy { machine.state.nodes[first + $0].cutsOff }
    }

    private mutating func act(_ index: Int, _ step: PlannedStep) {
        if let strategy = step.strategy, machine.state.nodes[index].item == 0 {
            return open(index, strategy)
        }
        switch step.action {
        case .request(let template): send(index, template)
        case .compute(let expression): compute(index, .expression(expression))
        case .finish(let template): compute(index, template)
        case .call(let template): call(index, template)
        case .sleep(let rule): sleep(index, rule)
        case .wait(let rule): wait(index, rule)
        case .signal(let template): signal(index, template)
        case .reply(let template): reply(index, template)
        case .group: open(index)
        case .fail(let template):
            do throws(ExpressionFailure) {
                fail(index, StepError(code: "fail", message: bounded(try value(template, index).text)))
            } catch {
                fail(index, stepError(error, in: "fail"))
            }
        }
    }

    /// Evaluates the guard: true, false or null; anything else is an error and never a skip.
    private func isGuardTrue(_ step: PlannedStep, _ index: Int) throws(ExpressionFailure) -> Bool {
        guard let expression = step.guardExpression else { return true }
        return try GuardReading.isTrue(try expression.evaluate(in: scope(of: index)))
    }

    private mutating func send(_ index: Int, _ template: RequestTemplate) {
        do throws(RequestFailure) {
            var (request, isTimed) = try request(index, template)
            machine.state.nodes[index].madeAt = isTimed ? at : nil
            request.mayReuseConnection = mayBeRepeated(index, attempt: machine.state.attempt(index))
            machine.state.markInFlight(index, at: at)
            decision.effects.append(
                .send(step: index, attempt: machine.state.attempt(index), request))
        } catch {
            fail(index, stepError(error))
        }
    }

    // Each evaluation is a function of its own: a scope retains the whole state, and while one is alive, a
    // change of the state would copy all nodes.

    /// The request, and whether its expressions asked for the time.
    private func request(
        _ index: Int, _ template: RequestTemplate
    ) throws(RequestFailure) -> (request: OutboundRequest, isTimed: Bool) {
        let scope = scope(of: index)
        let builder = RequestBuilder(
            template: template, stepPath: path(index), run: machine.state.run,
            attempt: machine.state.attempt(index), scope: scope, surroundings: surroundings, at: at)
        return (try builder.request(), scope.isTimeRead)
    }

    /// The value of a template in the scope of a node.
    func value(_ template: Template, _ index: Int) throws(ExpressionFailure) -> Value {
        try template.value(in: scope(of: index))
    }

    private mutating func compute(_ index: Int, _ template: Template) {
        do throws(ExpressionFailure) {
            let output = try storable(try value(template, index))
            settle(
                index,
                StepResult(error: nil, content: .output(output), attemptCount: 0, interval: computingTime))
        } catch {
            fail(index, stepError(error, in: "lua"))
        }
    }

    /// A computed value.
    ///
    /// - Throws: ``ExpressionFailure/notAValue(reason:)`` if it is nested deeper than the journal's reader
    ///   accepts.
    func storable(_ value: Value) throws(ExpressionFailure) -> Value {
        guard value.isNested(atMost: JSON.computedDepthMax) else {
            throw .notAValue(reason: "nested deeper than \(JSON.computedDepthMax) levels")
        }
        return value
    }

    /// A computed value that leaves the run other than in a request, with secrets removed.
    func outgoing(_ value: Value) throws(ExpressionFailure) -> Value {
        redaction.redact(try storable(value))
    }

    mutating func fail(_ index: Int, _ error: StepError) {
        settle(index, StepResult(error: error, content: .none, attemptCount: 0, interval: computingTime))
    }

    mutating func skip(_ index: Int, _ reason: SkipReason) {
        record(.stepSkipped(path: path(index), reason: reason), at: index)
    }

    /// This turn's expression time as run time; nil if it is too short to be charged.
    var computingTime: Meter.Interval? {
        meter.used >= Self.chargedTimeMin ? Meter.Interval(start: at, end: at + meter.used) : nil
    }

    mutating func settle(_ index: Int, _ result: StepResult, isRedacted: Bool = false) {
        record(
            .stepSettled(path: path(index), result), at: index,
            charge: machine.state.charge(for: result.interval), isRedacted: isRedacted)
    }
}

// MARK: - Errors as facts

extension Turn {
    func stepError(_ failure: ExpressionFailure, in place: String) -> StepError {
        StepError(code: failure.label, message: bounded("\(place): \(failure.message)"))
    }

    func stepError(_ failure: RequestFailure) -> StepError {
        StepError(code: failure.code, message: bounded(failure.message))
    }

    /// One line of at most 1 KiB, without secrets.
    func bounded(_ text: String) -> String { ShownText.line(redaction.redact(text)) }
}
