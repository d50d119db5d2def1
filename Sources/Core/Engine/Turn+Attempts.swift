import Billing
import Ports
import Values
import Workflow

// The end of an attempt: a success, a failure for good, or a retry.

extension Turn {
    mutating func settleAttempt(_ index: Int, attempt: Int, _ outcome: TransferOutcome) {
        guard case .request(let template) = step(index).action else { return }
        let retry = step(index).retry
        let interval = Meter.Interval(start: outcome.startedAt, end: outcome.finishedAt)
        switch outcome.result {
        case .failure(.cancelled):
            // The process is stopping, so there is no outcome. The step is sent again under the same key
            // (I3).
            machine.state.withdraw(index)
            // A request that was refused its start took no time.
            if outcome.startedAt < outcome.finishedAt { machine.state.nodes[index].mayHaveLeft = true }
        case .failure(let failure):
            let error = StepError(code: failure.label, message: bounded(failure.message))
            let isRetryable = retry.on.contains { $0.covers(failure) }
            settle(
                index, attempt, .init(error: error, response: nil, interval: interval),
                isRetryable: isRetryable)
        case .success(let response):
            let fault = Self.fault(of: response, template.response)
            var response = Self.stored(response, redactor: surroundings.redactor)
            response.fault = fault
            var answer = GuardedAnswer(response, template.response.sensitive)
            judged.add(answer.parts)
            let verdict = verdict(
                on: response, shownAs: answer.response, of: index, template.response, retry: retry)
            // Requests in flight and compensations may bring many responses; by then it suffices that they
            // came.
            if machine.state.isTooLarge {
                answer.response.body = []
                answer.parts.removeAll { $0.place.first == .name("body") }
            }
            answer.response = withoutSensitive(answer.response)
            settle(
                index, attempt,
                .init(
                    error: verdict.error, response: answer.response, sensitive: answer.parts,
                    interval: interval),
                isRetryable: verdict.isRetryable)
            judged = SensitiveTexts()
        }
    }

    /// Masks all copies of sensitive values in the response.
    private func withoutSensitive(_ response: OutboundResponse) -> OutboundResponse {
        let own = Redaction(Redactor(secrets: [] as [String]), machine.state.sensitive, judged)
        return own.isEmpty ? response : response.redacted(by: own)
    }

    struct Attempt {
        var error: StepError?
        var response: OutboundResponse?
        var sensitive: [SensitivePart] = []
        var interval: Meter.Interval
    }

    private mutating func settle(_ index: Int, _ number: Int, _ attempt: Attempt, isRetryable: Bool) {
        if let error = attempt.error, isRetryable, let retryAt = retryInstant(index, number, attempt) {
            record(
                .attemptFailed(
                    path: path(index), attempt: number, error: error, interval: attempt.interval,
                    retryAt: retryAt, madeAt: machine.state.nodes[index].madeAt), at: index,
                charge: machine.state.charge(for: attempt.interval))
            decision.effects.append(.wake(step: index, at: retryAt, isWallTime: false))
        } else {
            var result = StepResult(
                error: attempt.error, content: attempt.response.map { .response($0) } ?? .none,
                attemptCount: number, interval: attempt.interval)
            result.sensitive = attempt.sensitive
            result.madeAt = machine.state.nodes[index].madeAt
            settle(index, result, isRedacted: true)
        }
    }

    /// When the retry is due; nil if there is none.
    private func retryInstant(_ index: Int, _ number: Int, _ attempt: Attempt) -> Instant? {
        let retry = step(index).retry
        guard number <= retry.max, mayTryAgain(index) else { return nil }
        let delay = RetryDelay.delay(
            retry, failedAttempts: number, run: machine.state.run, path: path(index),
            retryAfter: attempt.response?.headers["retry-after"], at: at)
        let retryAt = at + delay
        if let until = retry.until {
            let first = machine.state.firstFailedAt(index) ?? attempt.interval.end
            guard retryAt <= first + until else { return nil }
        }
        return retryAt
    }

    /// Whether a retry may follow the attempt that is about to be sent.
    func mayBeRepeated(_ index: Int, attempt: Int) -> Bool {
        let retry = step(index).retry
        guard attempt <= retry.max, retry.on.contains(where: { $0.coversUnreadable }), mayTryAgain(index)
        else {
            return false
        }
        guard let until = retry.until else { return true }
        let delay = RetryDelay.delay(
            retry, failedAttempts: attempt, run: machine.state.run, path: path(index), retryAfter: nil, at: at
        )
        return at + delay <= (machine.state.firstFailedAt(index) ?? at) + until
    }

    /// Whether a retry is possible: in an ending scope only for compensations and for steps that may have to
    /// be undone.
    private func mayTryAgain(_ index: Int) -> Bool {
        if machine.isCompensation(index) { return true }
        // The failure of this attempt says nothing about the previous one, whose outcome is unknown.
        if machine.state.nodes[index].isInDoubt, machine.state.nodes[index].isSettling {
            return plan.compensationIndex[machine.state.nodes[index].step] != nil
        }
        return machine.state.ending == nil && !machine.state.isClosed(around: index)
    }

    private struct Verdict {
        var error: StepError?
        var isRetryable = false
    }

    /// Judges a response: 2xx and accepted statuses succeed, unless `fail_when` or the schema refuses it.
    private func verdict(
        on response: OutboundResponse, shownAs shown: OutboundResponse, of index: Int, _ rule: ResponseRule,
        retry: RetryPolicy
    ) -> Verdict {
        let isPlain = rule.failWhen == nil && rule.schema == nil
        let isAccepted = rule.accepts(response.status)
        let type = response.headers["content-type"]
        if isAccepted, let fault = response.fault {
            return Verdict(
                error: Self.unreadable(fault), isRetryable: retry.on.contains { $0.coversUnreadable })
        }
        if (200..<300).contains(response.status), isPlain { return Verdict() }
        let body = AnswerReading.value(of: response.body, contentType: type, reading: rule.reading)
        let scope = scope(
            of: index,
            response: ResponseBranch(status: response.status, headers: response.headers, body: body))
        guard isAccepted else {
            let error = StepError(code: "status", message: bounded(Self.describe(shown)))
            return Verdict(error: error, isRetryable: isRetryable(response, retry, scope: scope))
        }
        do throws(ExpressionFailure) {
            if let failWhen = rule.failWhen, try GuardReading.isTrue(try failWhen.evaluate(in: scope)) {
                let error = StepError(
                    code: "fail_when",
                    message: bounded("fail_when is true for \(Self.describe(shown))"))
                return Verdict(error: error, isRetryable: isExpressionTrue(retry, scope: scope))
            }
        } catch {
            return Verdict(error: stepError(error, in: "fail_when"))
        }
        if let schema = rule.schema, let violation = schema.validate(body).first {
            return Verdict(
                error: StepError(
                    code: "schema",
                    message: bounded("the response does not fit the schema: \(violation.text)")))
        }
        return Verdict()
    }

    /// Why the body of a response is unreadable; nil if the step takes it unread, or if the status fails
    /// anyway.
    ///
    /// Applied to the original response, because it may not be valid JSON once a secret is removed.
    private static func fault(of response: OutboundResponse, _ rule: ResponseRule) -> String? {
        if let fault = response.fault { return fault }
        guard rule.reading == .typed, rule.accepts(response.status) else { return nil }
        return AnswerReading.problem(in: response.body, contentType: response.headers["content-type"])
    }

    /// Whether to retry: the server's explicit answer takes precedence over the step's policy.
    private func isRetryable(_ response: OutboundResponse, _ retry: RetryPolicy, scope: RunScope) -> Bool {
        switch response.headers["stripe-should-retry"] {
        case "true": return true
        case "false": return false
        default: break
        }
        if retry.on.contains(where: { $0.covers(status: response.status) }) { return true }
        return isExpressionTrue(retry, scope: scope)
    }

    private func isExpressionTrue(_ retry: RetryPolicy, scope: RunScope) -> Bool {
        retry.on.contains { condition in
            guard case .expression(let expression) = condition else { return false }
            // A condition that raises an error does not retry, so that the step fails visibly.
            return (try? expression.evaluate(in: scope)) == .bool(true)
        }
    }

    private static func unreadable(_ reason: String) -> StepError {
        StepError(code: "unreadable_answer", message: "the answer cannot be read: \(reason)")
    }

    private static func describe(_ response: OutboundResponse) -> String {
        if let fault = response.fault {
            return "status \(response.status); the body cannot be read: \(fault)"
        }
        let text = String(decoding: response.body.prefix(300), as: UTF8.self)
        return text.isEmpty ? "status \(response.status)" : "status \(response.status): \(text)"
    }

    /// Whether a header is kept; compares lengths before names, because this runs for every header of every
    /// response.
    private static func isKept(_ name: UnsafeBufferPointer<UInt8>) -> Bool {
        switch name.count {
        case 4: !name.begins(withLowercase: "date")
        case 6: !name.begins(withLowercase: "server")
        case 10:
            !name.begins(withLowercase: "connection") && !name.begins(withLowercase: "keep-alive")
                && !name.begins(withLowercase: "set-cookie")
        case 17: !name.begins(withLowercase: "transfer-encoding")
        default: true
        }
    }

    /// The name in lower case; nil if the header is not kept.
    ///
    /// `lowercased()` handles all of Unicode and takes a microsecond; a header's name is ASCII.
    private static func keptName(_ name: String) -> String? {
        var name = name
        let isLower = name.withUTF8 { bytes -> Bool? in
            isKept(bytes) ? bytes.allSatisfy { $0.lowercasedASCII == $0 } : nil
        }
        guard let isLower else { return nil }
        return isLower ? name : name.withUTF8 { $0.lowercasedASCIIText }
    }

    /// The response as it is kept: lower-case names, no cookies, no secrets.
    private static func stored(_ response: OutboundResponse, redactor: Redactor) -> OutboundResponse {
        var headers: [HTTPHeader] = []
        headers.reserveCapacity(response.headers.count)
        for header in response.headers {
            guard let name = keptName(header.name) else { continue }
            headers.append(HTTPHeader(name, redactor.redact(header.value)))
        }
        return OutboundResponse(
            status: response.status, headers: headers,
            body: redactor.redact(body: response.body, contentType: headers["content-type"]))
    }
}

extension ResponseRule {
    /// Whether the status counts as a success.
    fileprivate func accepts(_ status: Int) -> Bool {
        (200..<300).contains(status) || accept.contains(status)
    }
}

extension RetryPolicy.Condition {
    func covers(_ failure: TransportFailure) -> Bool {
        switch (self, failure) {
        case (.connection, .connection), (.connection, .keptConnectionClosed), (.connection, .interrupted),
            (.timeout, .timeout):
            true
        default: false
        }
    }

    /// Whether it covers an unreadable body, which counts as a broken connection.
    var coversUnreadable: Bool {
        if case .connection = self { return true }
        return false
    }

    func covers(status: Int) -> Bool {
        switch self {
        case .status(let number): status == number
        case .statusClass(let hundreds): status / 100 == hundreds
        default: false
        }
    }
}

/// The delay of a step before its retry.
enum RetryDelay {
    /// Longest `Retry-After` that is obeyed, so that a hostile server cannot delay a run for ever.
    static let retryAfterMax = Duration.seconds(86_400)

    static func delay(
        _ policy: RetryPolicy, failedAttempts: Int, run: RunID, path: String, retryAfter: String?, at: Instant
    ) -> Duration {
        if let retryAfter, let asked = duration(of: retryAfter, at: at) { return asked }
        if policy.schedule.indices.contains(failedAttempts - 1) { return policy.schedule[failedAttempts - 1] }
        let base = min(policy.maxDelay, unjittered(policy, failedAttempts: failedAttempts))
        guard policy.jitter == .full else { return base }
        // Spread by a hash and not by chance, so that a replay decides the same.
        let fraction = Int64(hash(run, path, failedAttempts) % 1_000_001)
        return .microseconds(
            base.microseconds / 1_000_000 * fraction + base.microseconds % 1_000_000 * fraction / 1_000_000)
    }

    /// The delay that a `Retry-After` asks for, in seconds or as a date, at most a day.
    ///
    /// Nil if it is neither, or asks for no delay; the step's own delay is the minimum.
    private static func duration(of retryAfter: String, at: Instant) -> Duration? {
        let digits = retryAfter.utf8
        if !digits.isEmpty, digits.allSatisfy({ (0x30...0x39).contains($0) }) {
            // A number that does not fit is longer than a day.
            guard let seconds = Int64(retryAfter) else { return retryAfterMax }
            return seconds > 0 ? min(.seconds(min(seconds, 1 << 32)), retryAfterMax) : nil
        }
        guard let date = Instant(httpDate: retryAfter, now: at), date > at else { return nil }
        return min(date - at, retryAfterMax)
    }

    private static func unjittered(_ policy: RetryPolicy, failedAttempts: Int) -> Duration {
        switch policy.backoff {
        case .fixed: policy.delay
        case .linear: policy.delay * failedAttempts
        case .exponential: failedAttempts > 30 ? policy.maxDelay : policy.delay * (1 << (failedAttempts - 1))
        }
    }

    /// FNV-1a over run, path and attempt.
    static func hash(_ run: RunID, _ path: String, _ attempt: Int) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func mix(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        for shift in stride(from: 0, to: 64, by: 8) {
            mix(UInt8(truncatingIfNeeded: run.number >> Int64(shift)))
        }
        for byte in path.utf8 { mix(byte) }
        for shift in stride(from: 0, to: 32, by: 8) { mix(UInt8(truncatingIfNeeded: attempt >> shift)) }
        // FNV's low bits depend strongly on the last byte, so the high bits are folded in.
        return hash ^ hash >> 32
    }
}
