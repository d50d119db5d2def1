import Ports
import Values

/// A failure that a stand-in shows on demand.
package struct Fault: Sendable, Hashable {
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        /// Answers ``Fault/status``; nothing is done and nothing is kept.
        case status
        /// Waits ``Fault/delay`` with the key in use, then works and answers as usual.
        case delay
        /// Closes the connection; nothing is done.
        case reset
        /// Does the work, keeps the answer for the key, and closes the connection.
        case resetAfterWork = "reset_after_work"
        /// Does the work, keeps its answer for the key, and answers ``Fault/status``.
        case statusAfterWork = "status_after_work"
        /// Does the work and breaks: ``Fault/status`` is what the key is answered from now on.
        case storedStatus = "stored_status"
        /// Answers 429 with `Retry-After`; nothing is done.
        case rateLimited = "rate_limited"
    }

    /// Method and path, as `POST /v1/charges`; a `*` at the end stands for any rest.
    package var match: String
    /// Only requests whose body holds this text; nil for all.
    package var bodyContains: String?
    package var kind: Kind
    package var status: Int
    /// Requests that meet it before it is gone; at least 1.
    package var times: Int
    package var delay: Duration
    package var retryAfterSeconds: Int

    package init(
        _ kind: Kind, on match: String, status: Int = 500, times: Int = 1, delay: Duration = .zero,
        retryAfterSeconds: Int = 1, bodyContains: String? = nil
    ) {
        self.match = match
        self.bodyContains = bodyContains
        self.kind = kind
        self.status = status
        self.times = times
        self.delay = delay
        self.retryAfterSeconds = retryAfterSeconds
    }

    /// Reads the body of `POST /_standin/faults`.
    ///
    /// - Throws: ``FaultProblem`` naming the member that is wrong.
    init(_ value: Value) throws(FaultProblem) {
        guard let match = value["match"]?.string, !match.isEmpty else {
            throw FaultProblem(message: "match must be a text such as \"POST /v1/charges\"")
        }
        guard let kind = value["kind"]?.string.flatMap(Kind.init(rawValue:)) else {
            let known = Kind.allCases.map(\.rawValue).joined(separator: ", ")
            throw FaultProblem(message: "kind must be one of \(known)")
        }
        func number(_ name: String, _ fallback: Int, in range: ClosedRange<Int>) throws(FaultProblem) -> Int {
            guard let given = value[name], !given.isNull else { return fallback }
            guard let number = given.int.flatMap({ Int(exactly: $0) }), range.contains(number) else {
                throw FaultProblem(
                    message: "\(name) must be a number from \(range.lowerBound) to \(range.upperBound)")
            }
            return number
        }
        self.init(
            kind, on: match, status: try number("status", 500, in: 200...599),
            times: try number("times", 1, in: 1...1_000_000),
            delay: .milliseconds(try number("delay_ms", 0, in: 0...600_000)),
            retryAfterSeconds: try number("retry_after_s", 1, in: 0...86_400),
            bodyContains: value["body_contains"]?.string)
    }

    func applies(to call: StandInCall) -> Bool {
        let isRoute = match.hasSuffix("*") ? call.route.hasPrefix(match.dropLast()) : call.route == match
        guard isRoute, let bodyContains else { return isRoute }
        return String(decoding: call.request.body, as: UTF8.self).contains(bodyContains)
    }

    var value: Value {
        [
            "match": .string(match), "kind": .string(kind.rawValue), "times": .int(Int64(times)),
            "status": .int(Int64(status)), "delay_ms": .int(delay.milliseconds),
        ]
    }
}

/// What is wrong with a fault that was asked for.
struct FaultProblem: Error {
    let message: String
}
