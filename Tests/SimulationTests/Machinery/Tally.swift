/// How often each thing happened, by name: requests by their answers, faults, entries, ends of runs.
///
/// A simulation that never does something shows nothing about it, and without counting nobody notices.
struct Tally: Sendable {
    private(set) var counts: [String: Int] = [:]

    mutating func count(_ what: String, _ number: Int = 1) { counts[what, default: 0] += number }

    mutating func add(_ other: Tally) { counts.merge(other.counts, uniquingKeysWith: +) }

    /// A line for each name, in order.
    var text: String {
        counts.sorted { $0.key < $1.key }
            .map { name, count in
                "\(String(repeating: " ", count: max(0, 8 - "\(count)".count)))\(count)  \(name)"
            }
            .joined(separator: "\n")
    }
}
