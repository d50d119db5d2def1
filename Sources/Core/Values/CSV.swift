/// Comma-separated values (RFC 4180).
package enum CSV {
    /// Where and why a text is invalid.
    package struct Fault: Error, Hashable, Sendable {
        /// Counted from 1.
        package let line: Int
        package let reason: String
    }

    /// The rows of a text; lines end with LF or CRLF, and a byte order mark and an empty last line are
    /// skipped.
    ///
    /// - Parameters:
    ///   - bytes: The text; its encoding must contain ASCII, as UTF-8 does.
    ///   - separator: The byte between fields.
    /// - Returns: The fields of each row; rows may differ in length.
    /// - Throws: ``Fault`` for a quote that is not closed, or that is not at the start or end of its field.
    package static func rows(of bytes: [UInt8], separator: UInt8) throws(Fault) -> [[[UInt8]]] {
        var reader = Reader(bytes: bytes, separator: separator)
        return try reader.rows()
    }

    private struct Reader {
        private static let quote = UInt8(ascii: "\"")
        private static let newline = UInt8(ascii: "\n")
        private static let carriageReturn = UInt8(ascii: "\r")

        let bytes: [UInt8]
        let separator: UInt8
        private var position = 0
        private var line = 1

        init(bytes: [UInt8], separator: UInt8) {
            self.bytes = bytes
            self.separator = separator
            if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
        }

        mutating func rows() throws(Fault) -> [[[UInt8]]] {
            var rows: [[[UInt8]]] = []
            while position < bytes.count { rows.append(try row()) }
            return rows
        }

        private mutating func row() throws(Fault) -> [[UInt8]] {
            var fields: [[UInt8]] = []
            while true {
                fields.append(try field())
                guard position < bytes.count, bytes[position] == separator else { break }
                position += 1
            }
            skipLineEnd()
            return fields
        }

        private var isAtLineEnd: Bool {
            guard position < bytes.count else { return true }
            if bytes[position] == Self.newline { return true }
            return bytes[position] == Self.carriageReturn
                && (position + 1 == bytes.count || bytes[position + 1] == Self.newline)
        }

        private mutating func skipLineEnd() {
            if position < bytes.count, bytes[position] == Self.carriageReturn { position += 1 }
            if position < bytes.count, bytes[position] == Self.newline { position += 1 }
            line += 1
        }

        private mutating func field() throws(Fault) -> [UInt8] {
            if position < bytes.count, bytes[position] == Self.quote { return try quoted() }
            let start = position
            while !isAtLineEnd, bytes[position] != separator {
                guard bytes[position] != Self.quote else {
                    throw Fault(line: line, reason: "a quote within a field that does not begin with one")
                }
                position += 1
            }
            return Array(bytes[start..<position])
        }

        private mutating func quoted() throws(Fault) -> [UInt8] {
            let startLine = line
            var field: [UInt8] = []
            position += 1
            while position < bytes.count {
                let byte = bytes[position]
                position += 1
                if byte == Self.newline { line += 1 }
                guard byte == Self.quote else {
                    field.append(byte)
                    continue
                }
                if position < bytes.count, bytes[position] == Self.quote {
                    field.append(byte)
                    position += 1
                } else if isAtLineEnd || bytes[position] == separator {
                    return field
                } else {
                    throw Fault(line: line, reason: "text after the closing quote of a field")
                }
            }
            throw Fault(line: startLine, reason: "a quote that is not closed")
        }
    }
}
