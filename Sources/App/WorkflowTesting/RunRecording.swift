package import Values

/// Turns what the server's API tells of a run into a test case.
package struct RunRecording: Sendable {
    private let record: Value
    private let events: [Value]

    /// - Parameters:
    ///   - record: The answer of `GET /api/runs/ID`.
    ///   - events: The items of `GET /api/runs/ID/events`, all of them.
    package init(record: Value, events: [Value]) {
        self.record = record
        self.events = events
    }

    private var start: Value { events.first { $0["kind"]?.text == "run.started" } ?? .null }

    /// The test file as a value.
    package var document: Value {
        ["workflow": .string("\(record["workflow"]?.text ?? "workflow").yaml"), "cases": [.object(testCase)]]
    }

    /// The test file as YAML, with what has to be added by hand as comments.
    package var text: String {
        """
        # Recorded from \(record["run_id"]?.text ?? "a run"). Secrets, signatures and credentials are not kept: add
        # `secrets`, and `sign` under `trigger` where a guard wants one. Take out what the case is not about.
        \(YAMLText.write(document))
        """
    }

    private var testCase: Object {
        var one = Object()
        one["name"] = .string("as in \(record["run_id"]?.text ?? "a run")")
        one["trigger"] = .object(trigger)
        one["at"] = start["at"] ?? .null
        one["tenant"] = .object(tenant)
        let mocks = self.mocks
        if !mocks.isEmpty { one["mocks"] = .object(mocks) }
        let signals = self.signals
        if !signals.isEmpty { one["signals"] = .array(signals) }
        if let cancel { one["cancel"] = .object(cancel) }
        one["expect"] = .object(expectations)
        return one
    }

    private var trigger: Object {
        var trigger = Object()
        let facts = start["facts"] ?? .null
        trigger["type"] = facts["trigger"] ?? .null
        let headers = (facts["headers"]?.array ?? []).filter { $0[0]?.text != "content-length" }
        if !headers.isEmpty { trigger["headers"] = Self.headers(headers) }
        let query = facts["query"]?.array ?? []
        if !query.isEmpty { trigger["query"] = Self.map(query) }
        let body = start["body"] ?? .null
        // JSON reads better as YAML; a signature is over the bytes, but none is kept.
        if let text = body.string, let value = try? JSON.parse(text),
            value.object != nil || value.array != nil
        {
            trigger["body"] = value
        } else if !body.text.isEmpty {
            trigger["raw_body"] = body
        }
        return trigger
    }

    private static func map(_ pairs: [Value]) -> Value {
        .object(Object(fields: pairs.map { ($0[0]?.text ?? "", .string($0[1]?.text ?? "")) }))
    }

    /// Of several headers with one name, the values joined by commas.
    private static func headers(_ pairs: [Value]) -> Value {
        var object = Object()
        for pair in pairs {
            let (name, value) = (pair[0]?.text ?? "", pair[1]?.text ?? "")
            object[name] = .string(object[name].map { "\($0.text), \(value)" } ?? value)
        }
        return .object(object)
    }

    private var tenant: Object {
        var tenant = Object()
        tenant["name"] = start["facts"]?["tenant_name"] ?? .null
        if let customer = start["facts"]?["external_customer_id"] {
            tenant["external_customer_id"] = customer
        }
        return tenant
    }

    /// Answers step by step: failed attempts first, as the journal tells them.
    private var mocks: Object {
        var mocks = Object()
        for event in events {
            guard let facts = event["facts"], let path = facts["path"]?.string else { continue }
            let answers = mocks[path]?.array ?? []
            // Computing has times as well where it took long; only a request has attempts.
            if facts["attempts"] != nil || facts["attempt"] != nil {
                mocks[path] = .array(answers + [Self.answer(facts, body: event["body"])])
            } else if let end = Self.childEnd(facts, event["kind"]?.text) {
                mocks[path] = .array(answers + [end])
            }
        }
        for step in record["steps"]?.array ?? [] where step["state"]?.text == "cancelled" {
            let isRequest = step["kind"]?.text == "request" && step["items"] == nil
            guard isRequest, let path = step["id"]?.text, mocks[path] == nil else { continue }
            mocks[path] = .array([lateAnswer])
        }
        return mocks
    }

    /// How a child ended; nil for what is no end of one, and where nobody waited for it.
    private static func childEnd(_ facts: Value, _ kind: String?) -> Value? {
        guard facts["child"] != nil, facts["detached"] == nil, kind != "step.calling" else { return nil }
        guard let code = facts["error"]?.text else { return ["output": facts["output"] ?? .null] }
        return [
            "error": [
                "code": .string(code == "child_cancelled" ? "cancelled" : code),
                "message": facts["message"] ?? .null,
            ]
        ]
    }

    private static func answer(_ facts: Value, body: Value?) -> Value {
        var answer = Object()
        if let status = facts["status"] {
            answer["status"] = status
            let headers = (facts["headers"]?.array ?? []).filter { $0[0]?.text != "content-length" }
            if !headers.isEmpty { answer["headers"] = Self.headers(headers) }
            if let body, !body.text.isEmpty {
                let isJSON =
                    facts["headers"]?.array?.contains { $0[1]?.text.contains("json") ?? false } ?? false
                answer["body"] = isJSON ? body.string.flatMap { try? JSON.parse($0) } ?? body : body
            }
        } else if let kept = answerInMessage(facts) {
            answer = kept
        } else {
            answer["error"] = facts["error"] ?? .string("connection")
        }
        if let start = facts["start"]?.int, let end = facts["end"]?.int, end - start >= 1000 {
            answer["took"] = .string("\((end - start) / 1000)ms")
        }
        return .object(answer)
    }

    /// An attempt that was repeated keeps of its answer only what the message tells: the status and how the
    /// body begins.
    private static func answerInMessage(_ facts: Value) -> Object? {
        guard let code = facts["error"]?.text, let message = facts["message"]?.string else { return nil }
        let lead = ["status": "status ", "fail_when": "fail_when is true for status "][code]
        guard let lead, message.hasPrefix(lead) else { return nil }
        let rest = message.dropFirst(lead.count)
        let digits = rest.prefix { $0.isNumber }
        guard let status = Int64(digits) else { return nil }
        var answer = Object()
        answer["status"] = .int(status)
        let body = rest.dropFirst(digits.count + ": ".count)
        if !body.isEmpty { answer["body"] = (try? JSON.parse(String(body))) ?? .string(String(body)) }
        return answer
    }

    /// How long after its start something happened to the run.
    private func delay(until time: Value?) -> Value? {
        guard let begun = start["at"]?.string.flatMap({ Instant(rfc3339: $0) }),
            let at = time?.string.flatMap({ Instant(rfc3339: $0) })
        else { return nil }
        return .string("\((at - begun).milliseconds)ms")
    }

    /// The cancel that ended the run or its `finally` steps; nil for none.
    private var cancel: Object? {
        let event = events.first { event in
            switch event["kind"]?.text {
            case "run.cancel_requested": true
            case "run.finally_cut": event["facts"]?["error"]?.text == "cancelled"
            default: false
            }
        }
        guard let event, let at = delay(until: event["at"]) else { return nil }
        var cancel = Object()
        cancel["at"] = at
        cancel["reason"] = event["facts"]?["reason"] ?? event["facts"]?["message"]
        return cancel
    }

    /// An answer that comes after the run is over, for a request whose answer was not waited for: a race was decided, or
    /// the run ended first.
    private var lateAnswer: Value {
        let took = delay(until: record["finished_at"])?.string ?? "0ms"
        return ["status": 200, "took": .string("\((Int64(took.dropLast(2)) ?? 0) + 3_600_000)ms")]
    }

    private var signals: [Value] {
        events.compactMap { event in
            guard let facts = event["facts"], let prefix = Self.signalPrefix(event) else { return nil }
            var signal = Object()
            signal["at"] = delay(until: event["at"])
            signal["name"] = facts[prefix + "name"] ?? .null
            if let body = facts[prefix + "body"], !body.isNull { signal["body"] = body }
            return .object(signal)
        }
    }

    /// How the facts of a signal are named; nil where the event tells of none.
    ///
    /// Of a retry or a fork the first run's signals stand in the outcomes that it has copied.
    private static func signalPrefix(_ event: Value) -> String? {
        if event["kind"]?.text == "signal.received" { return "" }
        let isCopied = event["facts"]?["copied"]?.bool == true && event["facts"]?["signal_id"] != nil
        return isCopied ? "signal_" : nil
    }

    private var expectations: Object {
        var expected = Object()
        expected["outcome"] = record["status"] ?? .null
        if let output = record["output"], !output.isNull { expected["output"] = output }
        if let error = record["error"], !error.isNull {
            expected["error"] = ["code": error["code"] ?? .null]
            if let step = error["step"], !step.isNull {
                expected["error"] = ["code": error["code"] ?? .null, "step": step]
            }
        }
        var steps = Object()
        for step in record["steps"]?.array ?? [] {
            guard let state = step["state"]?.text, ["succeeded", "failed", "skipped"].contains(state) else {
                continue
            }
            steps[step["id"]?.text ?? ""] = .string(state)
        }
        expected["steps"] = .object(steps)
        return expected
    }
}
