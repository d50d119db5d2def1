import CSQLite
import Storage
import Values

// The packed form of journal entries. Every later version must read what this one writes.
//
//   one byte, 1: the version of the form each entry: key text, sequence, kind, instant, charge, facts bytes,
//   body number: 7 bits per byte, lowest first; the high bit means that more follow (zigzag if it may be
//   negative) text, bytes: their length as a number, then the bytes kind: its position in `kinds` as one
//   byte; or 255 and the text sequence, instant: the difference from the previous entry; the first from 0
//   body: 0 for none, or 1 and the bytes

/// Packs the entries of one commit into one blob.
enum EntryCoding {
    private static let form: UInt8 = 1
    private static let namedKind: UInt8 = 255
    /// Never reordered, because stored files refer to kinds by position.
    private static let kinds = [
        "run.started", "step.succeeded", "step.failed", "step.skipped", "step.attempt_failed",
        "step.sleeping", "step.waiting", "signal.received", "run.timed_out", "run.paused", "run.resumed",
        "run.cancel_requested", "run.finished", "step.opened", "step.calling", "run.held", "run.released",
        "run.admitted", "run.output_failed", "run.too_large", "clock.stepped",
    ]

    static func pack(_ entries: [StoredEntry], into bytes: inout [UInt8]) {
        bytes.append(form)
        var (sequence, instant): (Int64, Int64) = (0, 0)
        // By index: copying an entry out would retain each of its texts.
        for index in entries.indices {
            append(entries[index].key, &bytes)
            append(zigzag: entries[index].sequence &- sequence, &bytes)
            if let kind = kinds.firstIndex(of: entries[index].kind) {
                bytes.append(UInt8(kind))
            } else {
                bytes.append(namedKind)
                append(entries[index].kind, &bytes)
            }
            append(zigzag: entries[index].at.microseconds &- instant, &bytes)
            append(zigzag: entries[index].chargeMilliseconds, &bytes)
            append(entries[index].facts, &bytes)
            bytes.append(entries[index].body == nil ? 0 : 1)
            if let body = entries[index].body { append(body, &bytes) }
            (sequence, instant) = (entries[index].sequence, entries[index].at.microseconds)
        }
    }

    private static func append(_ number: UInt64, _ bytes: inout [UInt8]) {
        var rest = number
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    private static func append(zigzag number: Int64, _ bytes: inout [UInt8]) {
        append(UInt64(bitPattern: number &<< 1 ^ number &>> 63), &bytes)
    }

    private static func append(_ text: String, _ bytes: inout [UInt8]) {
        append(UInt64(text.utf8.count), &bytes)
        bytes.append(contentsOf: text.utf8)
    }

    private static func append(_ content: [UInt8], _ bytes: inout [UInt8]) {
        append(UInt64(content.count), &bytes)
        bytes.append(contentsOf: content)
    }

    /// Appends the entries that ``pack(_:into:)`` packed.
    ///
    /// - Throws: ``StoreError/failed(code:message:)`` if the bytes are damaged or of a later form; entries
    ///   read before the damage stay in `entries`.
    static func unpack(
        _ bytes: UnsafeRawBufferPointer, into entries: inout [StoredEntry]
    ) throws(StoreError) {
        var reader = Reader(bytes: bytes)
        guard try reader.byte() == form else { throw Reader.damage("an unknown form") }
        var (sequence, instant): (Int64, Int64) = (0, 0)
        repeat {
            let key = try reader.text()
            sequence &+= try reader.zigzag()
            let kind = try reader.byte()
            let name = kind == namedKind ? try reader.text() : kinds[try reader.known(kind, of: kinds.count)]
            instant &+= try reader.zigzag()
            let charge = try reader.zigzag()
            let facts = try reader.content()
            let body = try reader.byte() == 0 ? nil : try reader.content()
            entries.append(
                StoredEntry(
                    key: key, sequence: sequence, kind: name, at: Instant(microseconds: instant),
                    facts: facts, body: body, chargeMilliseconds: charge))
        } while !reader.isAtEnd
    }

    /// Reads forward and never past the end.
    private struct Reader {
        let bytes: UnsafeRawBufferPointer
        private var position = 0

        init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

        var isAtEnd: Bool { position == bytes.count }

        static func damage(_ what: String) -> StoreError {
            .failed(code: SQLITE_CORRUPT, message: "a row of journal is damaged: \(what)")
        }

        mutating func byte() throws(StoreError) -> UInt8 {
            guard position < bytes.count else { throw Self.damage("it is cut short") }
            defer { position += 1 }
            return bytes[position]
        }

        func known(_ kind: UInt8, of count: Int) throws(StoreError) -> Int {
            guard kind < count else { throw Self.damage("an unknown kind") }
            return Int(kind)
        }

        mutating func number() throws(StoreError) -> UInt64 {
            var (number, shift): (UInt64, UInt64) = (0, 0)
            while true {
                let next = try byte()
                guard shift < 63 || (shift == 63 && next <= 1) else {
                    throw Self.damage("a number is too long")
                }
                number |= UInt64(next & 0x7F) << shift
                if next < 0x80 { return number }
                shift += 7
            }
        }

        mutating func zigzag() throws(StoreError) -> Int64 {
            let number = try number()
            return Int64(bitPattern: number >> 1) ^ -Int64(bitPattern: number & 1)
        }

        private mutating func slice() throws(StoreError) -> UnsafeRawBufferPointer {
            let count = try number()
            guard count <= bytes.count - position else { throw Self.damage("it is cut short") }
            defer { position += Int(count) }
            return UnsafeRawBufferPointer(rebasing: bytes[position..<position + Int(count)])
        }

        mutating func text() throws(StoreError) -> String { String(decoding: try slice(), as: UTF8.self) }

        mutating func content() throws(StoreError) -> [UInt8] { [UInt8](try slice()) }
    }
}
