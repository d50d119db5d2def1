/// Finds parts of a text that may be base64 or hexadecimal, and decodes them at each possible alignment.
///
/// Runs too short to contain a pattern are not decoded. So for most texts, only one byte in every few is
/// examined.
struct BinaryRuns {
    /// Bytes of the shortest pattern.
    let byteCountMin: Int

    /// A decoded part of the text.
    struct Piece {
        var bytes: [UInt8]
        fileprivate let places: Places
        fileprivate let firstDigit: Int
        fileprivate let bitsPerDigit: Int

        /// The range in the text of the digits that encode a range of the decoded bytes.
        func origin(of range: Range<Int>) -> Range<Int> {
            let first = firstDigit + range.lowerBound * 8 / bitsPerDigit
            let last = firstDigit + (range.upperBound * 8 - 1) / bitsPerDigit
            return places[first]..<(places[last] + 1)
        }
    }

    /// The positions of a run's digits in the text.
    fileprivate enum Places {
        case oneAfterTheOther(from: Int)
        /// With line breaks between them.
        case scattered([Int])

        subscript(digit: Int) -> Int {
            switch self {
            case .oneAfterTheOther(let first): first + digit
            case .scattered(let places): places[digit]
            }
        }
    }

    private var base64CountMin: Int { (8 * byteCountMin + 5) / 6 }
    private var hexCountMin: Int { 2 * byteCountMin }

    /// Calls `body` with every piece that is long enough; a run yields one piece per alignment.
    func forEach(in text: UnsafeBufferPointer<UInt8>, _ body: (Piece) -> Void) {
        let countMin = base64CountMin
        var checked = 0
        var position = countMin - 1
        Self.base64.withUnsafeBufferPointer { table in
            while position < text.count {
                guard table[Int(text[position])] != Self.other else {
                    checked = position + 1
                    position += countMin
                    continue
                }
                var start = position
                while start > checked, table[Int(text[start - 1])] != Self.other { start -= 1 }
                var end = position + 1
                while end < text.count, table[Int(text[end])] != Self.other { end += 1 }
                if end - start >= countMin { decode(text, start..<end, table, body) }
                checked = end
                position = end + countMin
            }
        }
    }

    /// Decodes a run of digits, which may contain line breaks as in mail encodings.
    private func decode(
        _ text: UnsafeBufferPointer<UInt8>, _ run: Range<Int>, _ table: UnsafeBufferPointer<UInt8>,
        _ body: (Piece) -> Void
    ) {
        var digits: [UInt8] = []
        digits.reserveCapacity(run.count)
        for place in run where table[Int(text[place])] < Self.lineBreak { digits.append(text[place]) }
        guard digits.count >= base64CountMin else { return }
        let isWhole = digits.count == run.count
        let places: Places =
            isWhole
            ? .oneAfterTheOther(from: run.lowerBound)
            : .scattered(run.filter { table[Int(text[$0])] < Self.lineBreak })
        for skipped in 0..<4 where digits.count - skipped >= base64CountMin {
            body(Self.piece(digits[skipped...], Self.base64, places, bits: 6))
        }
        decodeHex(digits, places, body)
    }

    private func decodeHex(_ digits: [UInt8], _ places: Places, _ body: (Piece) -> Void) {
        guard digits.count >= hexCountMin else { return }
        var start = 0
        while start + hexCountMin <= digits.count {
            var end = start
            while end < digits.count, Self.hex[Int(digits[end])] != Self.other { end += 1 }
            for skipped in 0..<2 where end - start - skipped >= hexCountMin {
                body(Self.piece(digits[(start + skipped)..<end], Self.hex, places, bits: 4))
            }
            start = end + 1
        }
    }

    private static func piece(
        _ digits: ArraySlice<UInt8>, _ table: [UInt8], _ places: Places, bits: Int
    ) -> Piece {
        let count = digits.count * bits / 8
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { room, filled in
            var group: UInt32 = 0
            var groupBits = 0
            for digit in digits {
                group = group << UInt32(bits) | UInt32(table[Int(digit)])
                groupBits += bits
                guard groupBits >= 8 else { continue }
                groupBits -= 8
                room[filled] = UInt8(truncatingIfNeeded: group >> UInt32(groupBits))
                filled += 1
            }
        }
        return Piece(bytes: bytes, places: places, firstDigit: digits.startIndex, bitsPerDigit: bits)
    }

    // MARK: - Digits

    private static let other: UInt8 = 0xFF
    private static let lineBreak: UInt8 = 0xFE

    private static let base64: [UInt8] = {
        let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        var table = [UInt8](repeating: other, count: 256)
        for (value, letter) in letters.utf8.enumerated() { table[Int(letter)] = UInt8(value) }
        // The URL-safe alphabet.
        (table[Int(UInt8(ascii: "-"))], table[Int(UInt8(ascii: "_"))]) = (62, 63)
        (table[0x0A], table[0x0D]) = (lineBreak, lineBreak)
        return table
    }()

    private static let hex: [UInt8] = {
        var table = [UInt8](repeating: other, count: 256)
        for (value, letter) in "0123456789abcdef".utf8.enumerated() { table[Int(letter)] = UInt8(value) }
        for (value, letter) in "ABCDEF".utf8.enumerated() { table[Int(letter)] = UInt8(10 + value) }
        return table
    }()
}
