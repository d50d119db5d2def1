import Ports
package import Values
import Workflow

// Steps that wait for time or exchange messages: sleep, wait, signal, reply. All of them are free of charge.

extension Turn {
    mutating func sleep(_ index: Int, _ rule: SleepRule) {
        guard let end = end(of: rule, index, in: "sleep") else { return }
        guard end.at > at else { return settle(index, Self.passed) }
        record(.stepSleeping(path: path(index), until: end.at, isWallTime: end.isWallTime), at: index)
        decision.effects.append(.wake(step: index, at: end.at, isWallTime: end.isWallTime))
    }

    /// The end of a step's wait.
    private struct End {
        var at: Instant
        /// Whether that time itself was requested, and not a duration.
        var isWallTime: Bool
    }

    /// The end of a wait; nil if it is invalid or too far away, in which case the step has failed.
    private mutating func end(of rule: SleepRule, _ index: Int, in place: String) -> End? {
        let end: End
        switch rule {
        case .duration(let duration): end = End(at: at + duration, isWallTime: false)
        case .until(let template):
            do throws(ExpressionFailure) { end = try readEnd(try value(template, index), place) } catch {
                fail(index, stepError(error, in: place))
                return nil
            }
        }
        guard end.at <= at + Self.sleepMax else {
            let message = "\(place): until \(end.at.text) is more than 400 days"
            fail(index, StepError(code: "sleep_too_long", message: message))
            return nil
        }
        return end
    }

    /// The longest wait that a file may contain; it bounds expressions too.
    private static let sleepMax = Duration.seconds(400 * 86_400)

    private static let passed = StepResult(error: nil, content: .none, attemptCount: 0, interval: nil)

    /// Reads an end: a duration counts from now, a number is seconds since 1970, any other text is RFC 3339.
    private func readEnd(_ value: Value, _ place: String) throws(ExpressionFailure) -> End {
        if let seconds = value.int, seconds.magnitude < 1 << 40 {
            return End(at: Instant(microseconds: seconds * 1_000_000), isWallTime: true)
        }
        if let text = value.string {
            // Clamped before the addition, because a text may exceed the range of an instant.
            if let duration = DurationText.read(text) {
                return End(at: at + min(duration, Self.sleepMax + .seconds(1)), isWallTime: false)
            }
            if let instant = Instant(rfc3339: text) { return End(at: instant, isWallTime: true) }
        }
        throw .notAValue(
            reason:
                "\(place) takes a duration such as 3d, a time such as 2026-01-31T09:30:00Z, "
                + "or seconds since 1970"
        )
    }

    mutating func wait(_ index: Int, _ rule: WaitRule) {
        guard !endByKeptSignal(index, rule) else { return }
        var until: End?
        if let timeout = rule.timeout {
            guard var end = end(of: timeout, index, in: "timeout") else { return }
            end.at = max(end.at, at)
            until = end
        }
        let isWallTime = until?.isWallTime ?? false
        record(.stepWaiting(path: path(index), until: until?.at, isWallTime: isWallTime), at: index)
        if let until { decision.effects.append(.wake(step: index, at: until.at, isWallTime: isWallTime)) }
    }

    /// Ends a wait by the oldest kept signal with a matching name; false if there is none.
    private mutating func endByKeptSignal(_ index: Int, _ rule: WaitRule) -> Bool {
        let signal = machine.state.mailbox.first { rule.signals.contains($0.name) }
        if let signal { settle(index, Self.ended(by: signal)) }
        return signal != nil
    }

    /// Rearms a wait after a restart: takes a recorded signal, or requests the alarm again.
    mutating func rearmWait(_ index: Int, until: Instant?) {
        guard case .wait(let rule) = step(index).action, !endByKeptSignal(index, rule) else { return }
        if let until {
            decision.effects.append(
                .wake(step: index, at: until, isWallTime: machine.state.restsByWallTime(index)))
        }
    }

    private static func ended(by signal: RunSignal) -> StepResult {
        StepResult(error: nil, content: .signal(signal), attemptCount: 0, interval: nil)
    }

    /// Records a signal and gives it to the node that has waited longest; a duplicate is ignored.
    mutating func receive(_ signal: RunSignal) {
        let signal = signal.redacted(by: redaction)
        guard !machine.state.signalIDs.contains(signal.id), machine.state.ending == nil else { return }
        record(.signalReceived(signal), isRedacted: true)
        if let index = machine.state.firstWaiter(for: signal.name), let kept = machine.state.mailbox.last {
            settle(index, Self.ended(by: kept))
        }
    }

    /// Ends the wait for a retry, a sleep or a signal's timeout; an alarm from an earlier wait changes
    /// nothing.
    mutating func endWait(_ index: Int) {
        switch machine.state.phase(index) {
        case .waitingRetry: machine.state.endRetryWait(index, at: at)
        case .sleeping(let until) where until <= at: settle(index, Self.passed)
        case .waiting(_, .some(let until)) where until <= at: timeOut(index)
        default: break
        }
    }

    private mutating func timeOut(_ index: Int) {
        guard case .wait(let rule) = step(index).action else { return }
        switch rule.onTimeout {
        case .reject: skip(index, .timedOut)
        case .continue:
            settle(index, StepResult(error: nil, content: .timedOut, attemptCount: 0, interval: nil))
        case .fail:
            let names = rule.signals.joined(separator: " or ")
            settle(
                index,
                StepResult(
                    error: StepError(code: "timed_out", message: "no signal \(names) came in time"),
                    content: .timedOut, attemptCount: 0, interval: nil))
        }
    }

    /// Sends a signal; it carries the step's own key, so that it is taken once even if a crash repeats it.
    mutating func signal(_ index: Int, _ template: SignalTemplate) {
        do throws(ExpressionFailure) {
            let run = try value(template.run, index).text
            let name = try value(template.name, index).text
            let body = try value(template.body ?? .constant(.null), index)
            guard RunSignal.isName(name) else {
                throw .notAValue(
                    reason: "a signal's name is a-z, 0-9 and _, starting with a letter, at most 64")
            }
            machine.state.markInFlight(index, at: at)
            let signal = RunSignal(
                id: "\(machine.state.run)/\(path(index))", name: name, body: try outgoing(body))
            decision.effects.append(.signal(step: index, run: run, signal))
        } catch {
            fail(index, stepError(error, in: "signal"))
        }
    }

    mutating func reply(_ index: Int, _ template: ReplyTemplate) {
        do throws(ExpressionFailure) {
            let reply = try answer(template, index)
            settle(index, Self.passed)
            decision.effects.append(.reply(reply))
        } catch {
            fail(index, stepError(error, in: "reply"))
        }
    }

    private func answer(_ template: ReplyTemplate, _ index: Int) throws(ExpressionFailure) -> RunReply {
        let scope = scope(of: index)
        var reply = RunReply(status: template.status, headers: [], body: [])
        var hasType = false
        for field in template.headers {
            let value = try field.value.value(in: scope).text
            guard !value.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
                throw .notAValue(reason: "the header \(field.name) contains a control character")
            }
            if field.name.lowercased() == "content-type" { hasType = true }
            reply.headers.append(HTTPHeader(field.name, redaction.redact(value)))
        }
        guard let body = template.body else { return reply }
        let value = try outgoing(try body.value(in: scope))
        reply.body = value.content ?? JSON.bytes(value)
        let type = value.string == nil ? "application/json" : "text/plain; charset=utf-8"
        if !hasType { reply.headers.append(HTTPHeader("Content-Type", type)) }
        return reply
    }
}

extension RunSignal {
    /// Whether a text is a valid signal name.
    package static func isName(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        return (1...64).contains(bytes.count) && (0x61...0x7A).contains(bytes[0])
            && bytes.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5F }
    }
}

extension Surroundings {
    /// The token with which an outsider may signal this run only: 32 hex digits; nil if no key is set.
    package func signalToken(for run: RunID) -> String? {
        guard !signalKey.isEmpty,
            let mac = cryptography.hmac("sha256", key: signalKey, data: Array("signal \(run)".utf8))
        else { return nil }
        return Hex.encode(mac.prefix(16))
    }
}
