/// Durations as a workflow file writes them: `250ms`, `30s`, `15m`, `4h`, `7d`, `1h30m`.
package enum DurationText {
    private static let units: [(name: String, milliseconds: Int64)] = [
        ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1),
    ]

    /// Parses a duration; nil for any other text.
    ///
    /// Units go from large to small, each at most once.
    package static func read(_ text: String) -> Duration? {
        var rest = Substring(text)
        var total: Int64 = 0
        var unitsLeft = units[...]
        while !rest.isEmpty {
            let digits = rest.prefix { ("0"..."9").contains($0) }
            rest = rest.dropFirst(digits.count)
            let letters = rest.prefix { $0.isASCII && $0.isLetter }
            rest = rest.dropFirst(letters.count)
            guard digits.utf8.count <= 12, let count = Int64(digits),
                let index = unitsLeft.firstIndex(where: { $0.name == letters })
            else { return nil }
            let (part, isTooLong) = count.multipliedReportingOverflow(by: unitsLeft[index].milliseconds)
            let (sum, isTooLongToo) = total.addingReportingOverflow(part)
            if isTooLong || isTooLongToo { return nil }
            total = sum
            unitsLeft = unitsLeft[(index + 1)...]
        }
        return text.isEmpty ? nil : .milliseconds(total)
    }

    /// The shortest text for a duration, in whole milliseconds.
    package static func write(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        var left = seconds * 1000 + attoseconds / 1_000_000_000_000_000
        var text = ""
        for unit in units where left >= unit.milliseconds {
            text += "\(left / unit.milliseconds)\(unit.name)"
            left %= unit.milliseconds
        }
        return text.isEmpty ? "0s" : text
    }
}
