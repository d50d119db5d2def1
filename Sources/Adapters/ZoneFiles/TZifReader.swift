import Schedules

/// Reads a file of the time zone database: its 64-bit block and the rule after it.
///
/// Layout: a header of 44 bytes (magic, version, 15 unused bytes, six counts), a block of 32-bit times, then,
/// from version 2 on, a second header and block with 64-bit times, and a line with the rule. All numbers are
/// big-endian.
struct TZifReader {
    struct Problem: Error { var reason: String }

    private struct Counts {
        var universalFlags, standardFlags, leaps, times, types, letters: Int

        func byteCount(timeSize: Int) -> Int {
            times * (timeSize + 1) + types * 6 + letters + leaps * (timeSize + 4) + standardFlags
                + universalFlags
        }
    }

    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func rules() throws(Problem) -> TimeZoneRules {
        let first = try header()
        try skip(first.byteCount(timeSize: 4))
        let counts = try header()
        guard counts.leaps == 0 else { throw Problem(reason: "it counts leap seconds") }
        guard counts.types >= 1 else { throw Problem(reason: "it has no offset") }
        var times: [Int64] = []
        for _ in 0..<counts.times { times.append(try integer(8)) }
        let indices = try take(counts.times)
        var offsets: [Int64] = []
        for _ in 0..<counts.types {
            offsets.append(try integer(4))
            try skip(2)
        }
        try skip(counts.letters + counts.standardFlags + counts.universalFlags)
        return TimeZoneRules(
            firstOffset: offsets[0], transitions: try transitions(times, indices, offsets), tail: try footer()
        )
    }

    private func transitions(
        _ times: [Int64], _ indices: ArraySlice<UInt8>, _ offsets: [Int64]
    ) throws(Problem) -> [TimeZoneRules.Transition] {
        var transitions: [TimeZoneRules.Transition] = []
        for (time, index) in zip(times, indices) {
            guard Int(index) < offsets.count else { throw Problem(reason: "a change names no offset") }
            guard transitions.last.map({ $0.at < time }) ?? true else {
                throw Problem(reason: "its changes are not in order")
            }
            let offset = offsets[Int(index)]
            guard (-90_000...93_600).contains(offset) else { throw Problem(reason: "an offset is too large") }
            transitions.append(TimeZoneRules.Transition(at: time, offset: offset))
        }
        return transitions
    }

    private mutating func header() throws(Problem) -> Counts {
        let start = try take(20)
        guard start.prefix(4).elementsEqual("TZif".utf8) else {
            throw Problem(reason: "it is not a zone file")
        }
        guard let version = start.dropFirst(4).first, version >= UInt8(ascii: "2") else {
            throw Problem(reason: "it has 32-bit times only")
        }
        var numbers: [Int] = []
        for _ in 0..<6 {
            let number = try integer(4)
            guard (0...100_000).contains(number) else { throw Problem(reason: "a count is out of range") }
            numbers.append(Int(number))
        }
        return Counts(
            universalFlags: numbers[0], standardFlags: numbers[1], leaps: numbers[2], times: numbers[3],
            types: numbers[4], letters: numbers[5])
    }

    /// The rule for the time after the last transition; nil if the file has none.
    private mutating func footer() throws(Problem) -> PosixTimeZone? {
        guard try take(1).first == 0x0A, let end = bytes[position...].firstIndex(of: 0x0A) else {
            throw Problem(reason: "the line with the rule is missing")
        }
        let text = String(decoding: bytes[position..<end], as: UTF8.self)
        if text.isEmpty { return nil }
        guard let rule = PosixTimeZone(text) else { throw Problem(reason: "its rule is not understood") }
        return rule
    }

    // MARK: - Bytes

    private mutating func take(_ count: Int) throws(Problem) -> ArraySlice<UInt8> {
        guard count <= bytes.count - position else { throw Problem(reason: "it is cut short") }
        defer { position += count }
        return bytes[position..<position + count]
    }

    private mutating func skip(_ count: Int) throws(Problem) { _ = try take(count) }

    private mutating func integer(_ size: Int) throws(Problem) -> Int64 {
        let number = try take(size).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return size == 4 ? Int64(Int32(truncatingIfNeeded: number)) : Int64(bitPattern: number)
    }
}
