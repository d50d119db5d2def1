import Billing
import Ports
import Values

/// Writes the facts of an entry as a JSON object directly into bytes; binary content as ``JSON/Form/kept``.
struct FactsWriter {
    private var bytes: [UInt8] = []

    init() {
        bytes.reserveCapacity(240)
        bytes.append(UInt8(ascii: "{"))
    }

    /// Closes the object; nothing may be written afterwards.
    mutating func finish() -> [UInt8] {
        bytes.append(UInt8(ascii: "}"))
        return bytes
    }

    private mutating func name(_ name: StaticString) {
        if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
        bytes.append(UInt8(ascii: "\""))
        bytes.append(contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
        bytes.append(UInt8(ascii: "\""))
        bytes.append(UInt8(ascii: ":"))
    }

    mutating func text(_ name: StaticString, _ text: String) {
        self.name(name)
        JSON.writeString(text, into: &bytes)
    }

    mutating func int(_ name: StaticString, _ number: Int64) {
        self.name(name)
        JSON.writeInt(number, into: &bytes)
    }

    mutating func value(_ name: StaticString, _ value: Value) {
        self.name(name)
        JSON.write(value, into: &bytes, form: .kept)
    }

    mutating func headers(_ headers: [HTTPHeader]) {
        name("headers")
        bytes.append(UInt8(ascii: "["))
        for (index, header) in headers.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            bytes.append(UInt8(ascii: "["))
            JSON.writeString(header.name, into: &bytes)
            bytes.append(UInt8(ascii: ","))
            JSON.writeString(header.value, into: &bytes)
            bytes.append(UInt8(ascii: "]"))
        }
        bytes.append(UInt8(ascii: "]"))
    }

    mutating func write(_ error: StepError) {
        text("error", error.code)
        text("message", error.message)
    }

    mutating func write(_ interval: Meter.Interval) {
        int("start", interval.start.microseconds)
        int("end", interval.end.microseconds)
    }

    mutating func write(_ start: RunStart) {
        text("trigger", start.triggerKind)
        headers(start.headers)
        value("query", .array(start.query.map { .array([.string($0.name), .string($0.value)]) }))
        text("tenant_name", start.tenantName)
        if let customer = start.externalCustomerID { text("external_customer_id", customer) }
        if let origin = start.origin { value("origin", origin.value) }
        if let parent = start.parent {
            text("parent_run", "\(parent.run)")
            text("parent_step", parent.step)
            int("depth", Int64(parent.depth))
            if parent.isDetached { value("detached", true) }
        }
        if let lineage = start.lineage {
            text("root", "\(lineage.root)")
            int("ordinal", Int64(lineage.ordinal))
        }
        if let key = start.concurrencyKey { text("concurrency_key", key) }
        if let cause = start.cause {
            text("cause_run", "\(cause.run)")
            int("cause_depth", Int64(cause.depth))
        }
        if start.isQueued { value("queued", true) }
        if start.clockShift != .zero { int("clock_shift", start.clockShift.microseconds) }
        if let input = start.input { value("input", input) }
        if let fault = start.fault { write(fault) }
    }

    /// Writes a result and returns the body to store beside the facts.
    mutating func write(_ result: StepResult) -> [UInt8]? {
        if result.attemptCount > 0 { int("attempts", Int64(result.attemptCount)) }
        if let interval = result.interval { write(interval) }
        if let madeAt = result.madeAt { int("made_at", madeAt.microseconds) }
        if let error = result.error { write(error) }
        if result.isCopied { value("copied", true) }
        switch result.content {
        case .none: return nil
        case .timedOut:
            value("timed_out", true)
            return nil
        case .winner(let number):
            int("winner", Int64(number))
            return nil
        case .signal(let signal):
            text("signal_id", signal.id)
            text("signal_name", signal.name)
            value("signal_body", signal.body)
            return nil
        case .output(let output):
            value("output", output)
            return nil
        case .child(let child):
            text("child", "\(child.run)")
            if child.isDetached { value("detached", true) } else { value("output", child.output) }
            return nil
        case .response(let response):
            int("status", Int64(response.status))
            headers(response.headers)
            return response.body
        }
    }

    /// Writes the places of sensitive values, and the values themselves under a seal.
    mutating func write(_ parts: [SensitivePart], place: String, _ sealer: (any JournalSealer)?) {
        guard !parts.isEmpty else { return }
        value("sensitive", .array(parts.map { .string($0.placeText) }))
        guard let sealer else { return }
        let sealed = sealer.seal(JSON.bytes(.array(parts.map(\.sealable))), for: place)
        text("sealed", Base64.encode(sealed))
    }

    mutating func write(_ signal: RunSignal) {
        text("id", signal.id)
        text("name", signal.name)
        value("body", signal.body)
    }

    mutating func write(_ outcome: RunOutcome) {
        text("status", outcome.status.rawValue)
        if !outcome.output.isNull { value("output", outcome.output) }
        if let error = outcome.error { write(error) }
        if let step = outcome.failedStep { text("step", step) }
        if let compensation = outcome.compensation { text("compensation", compensation.rawValue) }
        if let finally = outcome.finally { text("finally", finally.rawValue) }
    }
}

/// Reads what ``FactsWriter`` wrote; a fact that is missing or has another type is a problem.
struct FactsReader {
    let key: String
    let values: Value
    /// The place of the entry, to which its sealed values are bound.
    let place: String
    let sealer: (any JournalSealer)?

    func sensitive() throws(JournalProblem) -> [SensitivePart] {
        guard values["sensitive"] != nil, let sealer else { return [] }
        guard let sealed = values["sealed"]?.string.flatMap({ Base64.decode($0) }),
            let plain = sealer.open(sealed, for: place), let items = (try? JSON.parse(plain))?.array
        else {
            throw JournalProblem(
                key: key,
                reason: "its sealed values do not open: start the server with the master key of that time")
        }
        let parts = items.compactMap { SensitivePart($0) }
        guard parts.count == items.count else { throw problem("sealed") }
        return parts
    }

    private func problem(_ name: String) -> JournalProblem {
        JournalProblem(key: key, reason: "the fact \(name) is missing or of another kind")
    }

    func text(_ name: String) throws(JournalProblem) -> String {
        guard let text = values[name]?.string else { throw problem(name) }
        return text
    }

    /// A word of a fixed set; one that this version does not know is a problem, and not another word.
    func token<Word: RawRepresentable<String>>(_ name: String) throws(JournalProblem) -> Word {
        guard let word = Word(rawValue: try text(name)) else { throw problem(name) }
        return word
    }

    func texts(_ name: String) throws(JournalProblem) -> [String] {
        guard let items = values[name]?.array else { throw problem(name) }
        let texts = items.compactMap(\.string)
        guard texts.count == items.count else { throw problem(name) }
        return texts
    }

    func int(_ name: String) throws(JournalProblem) -> Int64 {
        guard let number = values[name]?.int else { throw problem(name) }
        return number
    }

    func error() throws(JournalProblem) -> StepError {
        StepError(code: try text("error"), message: try text("message"))
    }

    func interval() throws(JournalProblem) -> Meter.Interval {
        Meter.Interval(
            start: Instant(microseconds: try int("start")), end: Instant(microseconds: try int("end")))
    }

    /// Nil if the fact is missing.
    func instant(_ name: String) -> Instant? { values[name]?.int.map { Instant(microseconds: $0) } }

    private func pairs(_ name: String) throws(JournalProblem) -> [(name: String, value: String)] {
        guard let items = values[name]?.array else { throw problem(name) }
        var pairs: [(name: String, value: String)] = []
        for item in items {
            guard let first = item[0]?.string, let second = item[1]?.string else { throw problem(name) }
            pairs.append((first, second))
        }
        return pairs
    }

    private func headers() throws(JournalProblem) -> [HTTPHeader] {
        try pairs("headers").map { HTTPHeader($0.name, $0.value) }
    }

    func runStart(body: [UInt8], at: Instant) throws(JournalProblem) -> RunStart {
        var start = RunStart(
            triggerKind: try text("trigger"), headers: try headers(), query: try pairs("query"), body: body,
            at: at, tenantName: try text("tenant_name"),
            externalCustomerID: values["external_customer_id"]?.string)
        if let facts = values["origin"] {
            guard let origin = RunOrigin(facts) else { throw problem("origin") }
            start.origin = origin
        }
        if values["parent_run"] != nil {
            start.parent = RunParent(
                run: try run("parent_run"), step: try text("parent_step"),
                depth: Int(truncatingIfNeeded: try int("depth")), isDetached: values["detached"] != nil)
        }
        if values["root"] != nil {
            start.lineage = RunLineage(root: try run("root"), ordinal: Int(clamping: try int("ordinal")))
        }
        if values["cause_run"] != nil {
            start.cause = RunCause(
                run: try run("cause_run"), depth: Int(clamping: try int("cause_depth")))
        }
        start.concurrencyKey = values["concurrency_key"]?.string
        start.isQueued = values["queued"] != nil
        start.sensitive = try sensitive()
        start.clockShift = .microseconds(values["clock_shift"]?.int ?? 0)
        start.input = values["input"]
        if values["error"] != nil { start.fault = try error() }
        return start
    }

    func run(_ name: String) throws(JournalProblem) -> RunID {
        guard let run = RunID(try text(name)) else { throw problem(name) }
        return run
    }

    func stepResult(body: [UInt8]?) throws(JournalProblem) -> StepResult {
        var content = StepResult.Content.none
        if let status = values["status"]?.int {
            content = .response(
                OutboundResponse(
                    status: Int(truncatingIfNeeded: status), headers: try headers(), body: body ?? []))
        } else if values["child"] != nil {
            content = .child(
                ChildResult(
                    run: try run("child"), output: values["output"] ?? .null,
                    isDetached: values["detached"] != nil))
        } else if let output = values["output"] {
            content = .output(output)
        } else if values["signal_id"] != nil {
            content = .signal(try signal(prefix: "signal_"))
        } else if values["timed_out"] != nil {
            content = .timedOut
        } else if let winner = values["winner"]?.int {
            content = .winner(Int(truncatingIfNeeded: winner))
        }
        var result = StepResult(
            error: values["error"] == nil ? nil : try error(), content: content,
            attemptCount: Int(truncatingIfNeeded: values["attempts"]?.int ?? 0),
            interval: values["start"] == nil ? nil : try interval())
        result.madeAt = instant("made_at")
        result.isCopied = values["copied"]?.bool == true
        result.sensitive = try sensitive()
        return result
    }

    func signal(prefix: String) throws(JournalProblem) -> RunSignal {
        RunSignal(
            id: try text(prefix + "id"), name: try text(prefix + "name"),
            body: values[prefix + "body"] ?? .null)
    }

    func runOutcome() throws(JournalProblem) -> RunOutcome {
        var outcome = RunOutcome(
            status: try token("status"), output: values["output"] ?? .null,
            error: values["error"] == nil ? nil : try error(), failedStep: values["step"]?.string)
        if values["compensation"] != nil { outcome.compensation = try token("compensation") }
        if values["finally"] != nil { outcome.finally = try token("finally") }
        return outcome
    }
}
