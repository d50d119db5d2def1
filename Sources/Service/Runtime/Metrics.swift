import Values

/// Counters for `/metrics`, in the text format of Prometheus.
package final class Metrics: @unchecked Sendable {
    // Unchecked: `counts` is read and written under `lock`.
    private let lock = Lock()
    private var counts: [Key: Int64] = [:]

    private struct Key: Hashable {
        var name: String
        /// `outcome="failed"`; bounded values only.
        var label: String
    }

    package init() {}

    /// Adds to a counter.
    ///
    /// - Parameters:
    ///   - name: Without the prefix `millrace_`; from a fixed set.
    ///   - label: One label and its value, from a fixed set; empty for none.
    ///   - amount: At least 0.
    package func add(_ name: String, _ label: String = "", _ amount: Int64 = 1) {
        lock.withLock { counts[Key(name: name, label: label), default: 0] += amount }
    }

    package func count(_ name: String, _ label: String = "") -> Int64 {
        lock.withLock { counts[Key(name: name, label: label), default: 0] }
    }

    /// All counters, and `gauges` as name and value, one line each, sorted.
    package func text(gauges: [(String, Int64)]) -> String {
        let counted = lock.withLock { counts }
        var lines: [String] = []
        for name in Set(counted.keys.map(\.name)).sorted() {
            lines.append("# TYPE millrace_\(name) counter")
            for key in counted.keys.filter({ $0.name == name }).sorted(by: { $0.label < $1.label }) {
                let labels = key.label.isEmpty ? "" : "{\(key.label)}"
                lines.append("millrace_\(name)\(labels) \(counted[key] ?? 0)")
            }
        }
        for (name, value) in gauges {
            lines.append("# TYPE millrace_\(name) gauge")
            lines.append("millrace_\(name) \(value)")
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
