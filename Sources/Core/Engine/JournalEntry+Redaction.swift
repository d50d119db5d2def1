import Ports
import Values

// Every entry is redacted here before it is recorded, so that neither it nor the folded state contains a
// secret (I9).

extension JournalEntry {
    func redacted(by redaction: Redaction) -> JournalEntry {
        switch self {
        case .runStarted(let start): return .runStarted(start.redacted(by: redaction))
        case .stepSettled(let path, let result):
            return .stepSettled(path: path, result.redacted(by: redaction))
        case .attemptFailed(let path, let attempt, let error, let interval, let retryAt, let madeAt):
            return .attemptFailed(
                path: path, attempt: attempt, error: error.redacted(by: redaction), interval: interval,
                retryAt: retryAt, madeAt: madeAt)
        case .stepOpened(let path, let over):
            return .stepOpened(path: path, over: over.map { redaction.guarded($0) })
        case .signalReceived(let signal): return .signalReceived(signal.redacted(by: redaction))
        case .outputFailed(let error): return .outputFailed(error.redacted(by: redaction))
        case .runHeld(let reason): return .runHeld(reason: redaction.redact(reason))
        case .cancelRequested(let reason): return .cancelRequested(reason: redaction.redact(reason))
        case .runFinalizing(let outcome): return .runFinalizing(outcome.redacted(by: redaction))
        case .finallyCut(let error): return .finallyCut(error.redacted(by: redaction))
        case .runFinished(let outcome): return .runFinished(outcome.redacted(by: redaction))
        // No text from outside. Listed one by one, so that each new entry must be classified.
        case .stepSkipped, .stepSleeping, .stepWaiting, .stepCalling, .stepsInFlight, .runTimedOut,
            .runTooLarge, .runPaused, .runAdmitted, .runResumed, .runReleased, .clockStepped:
            return self
        }
    }
}

extension RunStart {
    func redacted(by redaction: Redaction) -> RunStart {
        var start = self
        start.headers = headers.redacted(by: redaction)
        start.query = query.map { (redaction.redact($0.name), redaction.redact($0.value)) }
        start.input = input.map { redaction.redact($0) }
        start.concurrencyKey = concurrencyKey.map { redaction.redact($0) }
        start.fault = fault?.redacted(by: redaction)
        let body = redaction.redact(body: body, contentType: headers["content-type"])
        // The value parsed from the original body would still contain the secret.
        if body != self.body { (start.body, start.parsedBody) = (body, nil) }
        return start
    }
}

extension StepResult {
    func redacted(by redaction: Redaction) -> StepResult {
        var result = self
        result.error = error?.redacted(by: redaction)
        switch content {
        case .response(let response): result.content = .response(response.redacted(by: redaction))
        case .output(let value):
            let output = redaction.guarded(value)
            result.content = .output(output.shown)
            result.sensitive += output.parts.map { $0.below("output") }
        case .signal(let signal): result.content = .signal(signal.redacted(by: redaction))
        case .child(var child):
            let output = redaction.guarded(child.output)
            child.output = output.shown
            result.content = .child(child)
            result.sensitive += output.parts.map { $0.below("output") }
        case .timedOut, .winner, .none: break
        }
        return result
    }
}

extension OutboundResponse {
    func redacted(by redaction: Redaction) -> OutboundResponse {
        var response = self
        response.headers = headers.redacted(by: redaction)
        response.body = redaction.redact(body: body, contentType: headers["content-type"])
        return response
    }
}

extension [HTTPHeader] {
    func redacted(by redaction: Redaction) -> [HTTPHeader] {
        map { HTTPHeader(redaction.redact($0.name), redaction.redact($0.value)) }
    }
}

extension RunSignal {
    /// Redacts the id too, because a sender may use a secret as a key; equal ids stay equal.
    func redacted(by redaction: Redaction) -> RunSignal {
        RunSignal(id: redaction.redact(id), name: name, body: redaction.redact(body))
    }
}

extension StepError {
    func redacted(by redaction: Redaction) -> StepError {
        StepError(code: code, message: redaction.redact(message))
    }
}

extension RunOutcome {
    func redacted(by redaction: Redaction) -> RunOutcome {
        var outcome = self
        outcome.output = redaction.redact(output)
        outcome.error = error?.redacted(by: redaction)
        return outcome
    }
}
