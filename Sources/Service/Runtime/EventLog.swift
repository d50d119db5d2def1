import Glibc
package import Values

/// Writes what happened as one JSON object a line; control characters cannot break a line (S5).
package struct EventLog: Sendable {
    package enum Level: String, Sendable, Comparable {
        case info, warning, error

        private var weight: Int {
            switch self {
            case .info: 0
            case .warning: 1
            case .error: 2
            }
        }

        package static func < (left: Level, right: Level) -> Bool { left.weight < right.weight }
    }

    private let sink: @Sendable ([UInt8]) -> Void
    private let now: @Sendable () -> Instant
    private var threshold = Level.info

    /// - Parameters:
    ///   - now: The clock for each line's time.
    ///   - sink: Takes one whole line with its line break.
    package init(now: @escaping @Sendable () -> Instant, sink: @escaping @Sendable ([UInt8]) -> Void) {
        self.now = now
        self.sink = sink
    }

    /// To standard error, one write a line.
    package static func standardError(now: @escaping @Sendable () -> Instant) -> EventLog {
        EventLog(now: now) { line in
            line.withUnsafeBytes { bytes in
                // A log that cannot be written is no reason to stop serving.
                _ = Glibc.write(2, bytes.baseAddress, bytes.count)
            }
        }
    }

    /// To standard error, but only events at least as bad as `level`.
    package static func standardErrorOnly(_ level: Level) -> EventLog {
        var log = standardError { Instant(microseconds: 0) }
        log.threshold = level
        return log
    }

    package static let silent = EventLog(now: { Instant(microseconds: 0) }, sink: { _ in })

    /// - Parameters:
    ///   - level: How bad it is.
    ///   - event: A fixed token: `run.stuck`.
    ///   - fields: Facts without secrets; each text is cut at 1 KiB.
    package func write(_ level: Level, _ event: String, _ fields: [(String, Value)] = []) {
        guard level >= threshold else { return }
        var object = Object()
        object.append("at", .string(now().text))
        object.append("level", .string(level.rawValue))
        object.append("event", .string(event))
        for (name, value) in fields { object[name] = Self.bounded(value) }
        sink(JSON.bytes(.object(object)) + [UInt8(ascii: "\n")])
    }

    private static func bounded(_ value: Value) -> Value {
        guard case .string(let text) = value, text.utf8.count > 1024 else { return value }
        return .string(String(decoding: text.utf8.prefix(1024), as: UTF8.self) + "…")
    }
}
