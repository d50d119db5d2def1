/// The JSON reader and writer: RFC 8259, exact numbers, order kept.
///
/// A leading byte order mark is skipped, and half of a surrogate pair is read as U+FFFD. Duplicate names in
/// an object, invalid UTF-8, trailing commas, `NaN` and the like, text after the value, and nesting beyond a
/// bound are refused.
package enum JSON {
    /// Most levels of nesting in a text from outside; a deeper one is refused.
    package static let depthMax = 128
    /// Most levels of nesting in a value that a run computes: an outside value with room for wrappers.
    package static let computedDepthMax = 256
    /// Most levels of nesting in Millrace's own texts: a computed value with room for an entry or response
    /// around it.
    package static let ownDepthMax = 512

    /// How bytes that are no text are written.
    package enum Form: Sendable {
        /// For others: `{"base64": "…"}`, which is valid JSON and cannot be told from such an object.
        case shown
        /// For the journal: `~"…"`, which is not JSON and therefore unambiguous.
        case kept
    }

    package static func parse(_ text: String) throws(JSONProblem) -> Value {
        try parse(Array(text.utf8))
    }

    /// Parses a text from outside.
    package static func parse(_ bytes: [UInt8]) throws(JSONProblem) -> Value {
        try read(bytes, depthMax: depthMax, form: .shown)
    }

    /// Parses one of Millrace's own responses, which may wrap a computed value.
    package static func parseOwn(_ bytes: [UInt8]) throws(JSONProblem) -> Value {
        try read(bytes, depthMax: ownDepthMax, form: .shown)
    }

    /// Parses the ``Form/kept`` form; every value that a run may hold is read back unchanged.
    package static func parseKept(_ bytes: [UInt8]) throws(JSONProblem) -> Value {
        try read(bytes, depthMax: ownDepthMax, form: .kept)
    }

    private static func read(_ bytes: [UInt8], depthMax: Int, form: Form) throws(JSONProblem) -> Value {
        let result: Result<Value, JSONProblem> = bytes.withUnsafeBufferPointer { buffer in
            var reader = JSONReader(bytes: buffer, depthMax: depthMax, form: form)
            do throws(JSONProblem) { return .success(try reader.document()) } catch { return .failure(error) }
        }
        return try result.get()
    }

    package static func bytes(_ value: Value, form: Form = .shown) -> [UInt8] {
        var out: [UInt8] = []
        // Most texts are small; reserving once avoids four growths.
        out.reserveCapacity(128)
        write(value, into: &out, form: form)
        return out
    }

    package static func text(_ value: Value) -> String {
        String(decoding: bytes(value), as: UTF8.self)
    }

    /// The value on several lines, indented by two spaces per level.
    package static func prettyText(_ value: Value) -> String {
        var out: [UInt8] = []
        writePretty(value, indent: 0, into: &out)
        return String(decoding: out, as: UTF8.self)
    }
}

/// Where and why a text is not JSON.
package struct JSONProblem: Error, Hashable, Sendable {
    /// The number of bytes before the fault.
    package let offset: Int
    /// A clause, such as `unexpected character`.
    package let reason: String

    package init(offset: Int, reason: String) {
        self.offset = offset
        self.reason = reason
    }
}

// MARK: - Writing

extension JSON {
    package static func write(_ value: Value, into out: inout [UInt8], form: Form = .shown) {
        switch value {
        case .null: out.append(contentsOf: "null".utf8)
        case .bool(true): out.append(contentsOf: "true".utf8)
        case .bool(false): out.append(contentsOf: "false".utf8)
        case .int(let number): writeInt(number, into: &out)
        case .number(let text): out.append(contentsOf: text.utf8)
        case .string(let text): writeString(text, into: &out)
        case .bytes(let bytes): writeBytes(bytes, into: &out, form: form)
        case .array(let items):
            out.append(UInt8(ascii: "["))
            for index in items.indices {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                write(items[index], into: &out, form: form)
            }
            out.append(UInt8(ascii: "]"))
        case .object(let object):
            out.append(UInt8(ascii: "{"))
            var isFirst = true
            for member in object.members {
                if !isFirst { out.append(UInt8(ascii: ",")) }
                isFirst = false
                writeString(member.name, into: &out)
                out.append(UInt8(ascii: ":"))
                write(member.value, into: &out, form: form)
            }
            out.append(UInt8(ascii: "}"))
        }
    }

    private static func writeBytes(_ bytes: [UInt8], into out: inout [UInt8], form: Form) {
        out.append(contentsOf: form == .kept ? "~\"".utf8 : "{\"base64\":\"".utf8)
        out.append(contentsOf: Base64.encode(bytes).utf8)
        out.append(contentsOf: form == .kept ? "\"".utf8 : "\"}".utf8)
    }

    package static func writeInt(_ number: Int64, into out: inout [UInt8]) {
        // The digits are written backwards into a buffer on the stack, so that the array grows once.
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            var magnitude = number.magnitude
            var start = 20
            repeat {
                start -= 1
                digits[start] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: magnitude % 10)
                magnitude /= 10
            } while magnitude > 0
            if number < 0 {
                start -= 1
                digits[start] = UInt8(ascii: "-")
            }
            out.append(contentsOf: UnsafeBufferPointer(rebasing: digits[start...]))
        }
    }

    package static func writeString(_ text: String, into out: inout [UInt8]) {
        var text = text
        out.append(UInt8(ascii: "\""))
        text.withUTF8 { bytes in
            var start = 0
            for index in bytes.indices
            where bytes[index] < 0x20 || bytes[index] == 0x22 || bytes[index] == 0x5C {
                if index > start {
                    out.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[start..<index]))
                }
                start = index + 1
                writeEscape(of: bytes[index], into: &out)
            }
            if start < bytes.count { out.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[start...])) }
        }
        out.append(UInt8(ascii: "\""))
    }

    private static func writeEscape(of byte: UInt8, into out: inout [UInt8]) {
        out.append(UInt8(ascii: "\\"))
        switch byte {
        case 0x22, 0x5C: out.append(byte)
        case 0x08: out.append(UInt8(ascii: "b"))
        case 0x0C: out.append(UInt8(ascii: "f"))
        case 0x0A: out.append(UInt8(ascii: "n"))
        case 0x0D: out.append(UInt8(ascii: "r"))
        case 0x09: out.append(UInt8(ascii: "t"))
        default:
            let digits = Array("0123456789abcdef".utf8)
            out.append(contentsOf: "u00".utf8)
            out.append(digits[Int(byte >> 4)])
            out.append(digits[Int(byte & 15)])
        }
    }

    private static func writePretty(_ value: Value, indent: Int, into out: inout [UInt8]) {
        func newline(_ depth: Int) {
            out.append(UInt8(ascii: "\n"))
            out.append(contentsOf: repeatElement(UInt8(ascii: " "), count: depth * 2))
        }
        switch value {
        case .array(let items) where !items.isEmpty:
            out.append(UInt8(ascii: "["))
            for (index, item) in items.enumerated() {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                newline(indent + 1)
                writePretty(item, indent: indent + 1, into: &out)
            }
            newline(indent)
            out.append(UInt8(ascii: "]"))
        case .object(let object) where !object.isEmpty:
            out.append(UInt8(ascii: "{"))
            for (index, member) in object.members.enumerated() {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                newline(indent + 1)
                writeString(member.name, into: &out)
                out.append(contentsOf: ": ".utf8)
                writePretty(member.value, indent: indent + 1, into: &out)
            }
            newline(indent)
            out.append(UInt8(ascii: "}"))
        default: write(value, into: &out)
        }
    }
}
