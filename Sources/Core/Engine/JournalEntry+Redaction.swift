import Ports
import Values

// What is recorded passes through here, so that no entry, and nothing folded from one, holds a secret (I9).

extension JournalEntry {
    func redacted(by redactor: Redactor) -> JournalEntry {
        switch self {
        case .runStarted(let start): return .runStarted(start.redacted(by: redactor))
        case .stepSettled(let path, let result):
            return .stepSettled(path: path, result.redacted(by: redactor))
        case .attemptFailed(let path, let attempt, let error, let interval, let retryAt):
            return .attemptFailed(
                path: path, attempt: attempt, error: error.redacted(by: redactor), interval: interval,
                retryAt: retryAt)
        case .stepOpened(let path, let over):
            return .stepOpened(path: path, over: over.map { redactor.redact($0) })
        case .signalReceived(let signal): return .signalReceived(signal.redacted(by: redactor))
        case .outputFailed(let error): return .outputFailed(error.redacted(by: redactor))
        case .runHeld(let reason): return .runHeld(reason: redactor.redact(reason))
        case .cancelRequested(let reason): return .cancelRequested(reason: redactor.redact(reason))
        case .runFinished(let outcome): return .runFinished(outcome.redacted(by: redactor))
        // These hold no text from outside.
        default: return self
        }
    }
}

extension RunStart {
    func redacted(by redactor: Redactor) -> RunStart {
        var start = self
        start.headers = headers.redacted(by: redactor)
        start.query = query.map { (redactor.redact($0.name), redactor.redact($0.value)) }
        start.input = input.map { redactor.redact($0) }
        start.concurrencyKey = concurrencyKey.map { redactor.redact($0) }
        let body = redactor.redact(body: body, contentType: headers["content-type"])
        // The value that was read from the body as it came would bring the secret back.
        if body != self.body { (start.body, start.parsedBody) = (body, nil) }
        return start
    }
}

extension StepResult {
    func redacted(by redactor: Redactor) -> StepResult {
        var result = self
        result.error = error?.redacted(by: redactor)
        switch content {
        case .response(let response): result.content = .response(response.redacted(by: redactor))
        case .output(let value): result.content = .output(redactor.redact(value))
        case .signal(let signal): result.content = .signal(signal.redacted(by: redactor))
        case .child(var child):
            child.output = redactor.redact(child.output)
            result.content = .child(child)
        case .timedOut, .winner, .none: break
        }
        return result
    }
}

extension OutboundResponse {
    func redacted(by redactor: Redactor) -> OutboundResponse {
        var response = self
        response.headers = headers.redacted(by: redactor)
        response.body = redactor.redact(body: body, contentType: headers["content-type"])
        return response
    }
}

extension [HTTPHeader] {
    func redacted(by redactor: Redactor) -> [HTTPHeader] {
        map { HTTPHeader(redactor.redact($0.name), redactor.redact($0.value)) }
    }
}

extension RunSignal {
    /// Also its id: a sender may give a secret for a key, and the same one leads to the same id.
    package func redacted(by redactor: Redactor) -> RunSignal {
        RunSignal(id: redactor.redact(id), name: name, body: redactor.redact(body))
    }
}

extension StepError {
    func redacted(by redactor: Redactor) -> StepError {
        StepError(code: code, message: redactor.redact(message))
    }
}

extension RunOutcome {
    package func redacted(by redactor: Redactor) -> RunOutcome {
        var outcome = self
        outcome.output = redactor.redact(output)
        outcome.error = error?.redacted(by: redactor)
        return outcome
    }
}
