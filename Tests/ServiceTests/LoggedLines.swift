import Values

/// What the service has logged.
final class LoggedLines: @unchecked Sendable {
    // Unchecked: `lines` is read and written under `lock`.
    private let lock = Lock()
    private var lines: [[UInt8]] = []

    func add(_ line: [UInt8]) { lock.withLock { lines.append(line) } }
    var all: [[UInt8]] { lock.withLock { lines } }
    var text: String { all.map { String(decoding: $0, as: UTF8.self) }.joined() }
}
