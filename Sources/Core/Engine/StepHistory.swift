import Billing
import Ports
import Values

/// The times and results of each step, read from a journal for people.
struct StepHistory {
    private struct Facts {
        var began: Instant?
        var ended: Instant?
        var status: Int?
        /// Nil for a step without a result.
        var output: Output?
        var skip: SkipReason?
    }

    /// In the journal's form, because only shown results are decoded.
    private enum Output {
        case value(Value)
        case body([UInt8], contentType: String?)
    }

    private var facts: [String: Facts] = [:]

    mutating func take(_ record: JournalRecord) {
        switch record.entry {
        case .stepSettled(let path, let result): settle(path, result, at: record.at)
        case .stepSkipped(let path, let reason):
            begin(path, at: record.at)
            facts[path]?.ended = record.at
            facts[path]?.skip = reason
        case .attemptFailed(let path, _, _, let interval, _, _): begin(path, at: interval.start)
        case .stepOpened(let path, _), .stepSleeping(let path, _, _), .stepWaiting(let path, _, _),
            .stepCalling(let path, _):
            begin(path, at: record.at)
        default: break
        }
    }

    private mutating func begin(_ path: String, at instant: Instant) {
        if facts[path]?.began == nil { facts[path, default: Facts()].began = instant }
    }

    private mutating func settle(_ path: String, _ result: StepResult, at instant: Instant) {
        begin(path, at: result.interval?.start ?? instant)
        facts[path]?.ended = instant
        switch result.content {
        case .response(let response):
            facts[path]?.status = response.status
            facts[path]?.output = .body(response.body, contentType: response.headers["content-type"])
        case .output(let value): facts[path]?.output = .value(value)
        case .signal(let signal): facts[path]?.output = .value(signal.body)
        case .child(let child): facts[path]?.output = child.isDetached ? nil : .value(child.output)
        case .timedOut, .winner, .none: break
        }
    }

    /// Why a step was skipped; nil if it was not.
    func skipReason(of path: String) -> SkipReason? { facts[path]?.skip }

    // MARK: - Showing

    /// Most bytes of an output that is shown; of a longer one only the size is.
    private static let outputByteCountMax = 1 << 10

    /// Adds `started_at`, `finished_at`, `duration_ms`, `status`, `output` and `output_bytes`.
    func add(to object: inout Object, of path: String) {
        let facts = facts[path] ?? Facts()
        object["started_at"] = facts.began.map { .string($0.text) } ?? .null
        object["finished_at"] = facts.ended.map { .string($0.text) } ?? .null
        object["duration_ms"] = duration(of: facts).map { .int($0) } ?? .null
        object["status"] = facts.status.map { .int(Int64($0)) } ?? .null
        let (output, byteCount) = Self.shown(facts.output)
        object["output"] = output
        object["output_bytes"] = .int(Int64(byteCount))
    }

    private func duration(of facts: Facts) -> Int64? {
        guard let began = facts.began, let ended = facts.ended else { return nil }
        return max(0, (ended - began).milliseconds)
    }

    private static func shown(_ output: Output?) -> (Value, byteCount: Int) {
        switch output {
        case nil: return (.null, 0)
        case .value(let value):
            let count = JSON.bytes(value).count
            return (count <= outputByteCountMax ? value : .null, count)
        case .body(let bytes, let contentType):
            guard bytes.count <= outputByteCountMax else { return (.null, bytes.count) }
            return (BodyReader.value(of: bytes, contentType: contentType), bytes.count)
        }
    }
}
