/// A recursive-descent parser over bytes that the caller keeps alive during the call.
struct JSONReader {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var position = 0
    private var depth = 0
    private let depthMax: Int
    private let form: JSON.Form

    init(bytes: UnsafeBufferPointer<UInt8>, depthMax: Int, form: JSON.Form) {
        self.bytes = bytes
        self.depthMax = depthMax
        self.form = form
    }

    mutating func document() throws(JSONProblem) -> Value {
        if bytes.count >= 3, bytes[0] == 0xEF, bytes[1] == 0xBB, bytes[2] == 0xBF { position = 3 }
        skipSpace()
        let value = try value()
        skipSpace()
        guard position == bytes.count else { throw problem("text after the value") }
        return value
    }

    private func problem(_ reason: String) -> JSONProblem { JSONProblem(offset: position, reason: reason) }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    private mutating func value() throws(JSONProblem) -> Value {
        guard let byte = next else { throw problem("unexpected end of text") }
        switch byte {
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        case UInt8(ascii: "~") where form == .kept: return try keptBytes()
        default: throw problem("unexpected character")
        }
    }

    /// Bytes in the journal's form.
    private mutating func keptBytes() throws(JSONProblem) -> Value {
        let start = position
        position += 1
        guard next == UInt8(ascii: "\""), let bytes = Base64.decode(try string()) else {
            throw JSONProblem(offset: start, reason: "unexpected character")
        }
        return .bytes(bytes)
    }

    private mutating func word(_ word: StaticString, _ value: Value) throws(JSONProblem) -> Value {
        let count = word.utf8CodeUnitCount
        guard position + count <= bytes.count else { throw problem("unexpected end of text") }
        for index in 0..<count where bytes[position + index] != word.utf8Start[index] {
            throw problem("unexpected character")
        }
        position += count
        return value
    }

    private mutating func enter() throws(JSONProblem) {
        depth += 1
        position += 1
        if depth > depthMax { throw problem("nested deeper than \(depthMax) levels") }
        skipSpace()
    }

    private mutating func object() throws(JSONProblem) -> Value {
        try enter()
        var object = Object()
        if next == UInt8(ascii: "}") {
            position += 1
            depth -= 1
            return .object(object)
        }
        while true {
            guard next == UInt8(ascii: "\"") else { throw problem("expected a name in quotes") }
            let start = position
            let name = try string()
            skipSpace()
            guard next == UInt8(ascii: ":") else { throw problem("expected a colon") }
            position += 1
            skipSpace()
            guard object.insert(name, try value()) else {
                throw JSONProblem(offset: start, reason: "duplicate name")
            }
            skipSpace()
            switch next {
            case UInt8(ascii: ","):
                position += 1
                skipSpace()
            case UInt8(ascii: "}"):
                position += 1
                depth -= 1
                return .object(object)
            default: throw problem("expected a comma or }")
            }
        }
    }

    private mutating func array() throws(JSONProblem) -> Value {
        try enter()
        var items: [Value] = []
        if next == UInt8(ascii: "]") {
            position += 1
            depth -= 1
            return .array(items)
        }
        while true {
            items.append(try value())
            skipSpace()
            switch next {
            case UInt8(ascii: ","):
                position += 1
                skipSpace()
            case UInt8(ascii: "]"):
                position += 1
                depth -= 1
                return .array(items)
            default: throw problem("expected a comma or ]")
            }
        }
    }

    private mutating func digits() throws(JSONProblem) {
        let start = position
        while let byte = next, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { position += 1 }
        if position == start { throw problem("expected a digit") }
    }

    private mutating func number() throws(JSONProblem) -> Value {
        let start = position
        var isInteger = true
        if next == UInt8(ascii: "-") { position += 1 }
        if next == UInt8(ascii: "0") { position += 1 } else { try digits() }
        if next == UInt8(ascii: ".") {
            isInteger = false
            position += 1
            try digits()
        }
        if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
            isInteger = false
            position += 1
            if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { position += 1 }
            try digits()
        }
        let text = bytes[start..<position]
        // "-0" is not the integer 0, because its sign was sent too.
        if isInteger, !(text.count == 2 && text.elementsEqual("-0".utf8)) {
            var magnitude: Int64 = 0
            var fits = true
            let isNegative = bytes[start] == UInt8(ascii: "-")
            for byte in text where byte != UInt8(ascii: "-") {
                let (product, overflowed) = magnitude.multipliedReportingOverflow(by: 10)
                let digit = Int64(byte - UInt8(ascii: "0"))
                let (sum, overflowedToo) =
                    isNegative
                    ? product.subtractingReportingOverflow(digit) : product.addingReportingOverflow(digit)
                if overflowed || overflowedToo {
                    fits = false
                    break
                }
                magnitude = sum
            }
            if fits { return .int(magnitude) }
        }
        return .number(String(decoding: text, as: UTF8.self))
    }

    private mutating func string() throws(JSONProblem) -> String {
        position += 1
        let start = position
        var allBits: UInt8 = 0
        while let byte = next {
            if byte == UInt8(ascii: "\"") {
                let slice = UnsafeBufferPointer(rebasing: bytes[start..<position])
                guard let text = Self.text(slice, isASCII: allBits < 0x80) else {
                    throw JSONProblem(offset: start, reason: "invalid UTF-8")
                }
                position += 1
                return text
            }
            if byte == UInt8(ascii: "\\") { return try escapedString(from: start) }
            if byte < 0x20 { throw problem("control character in a text") }
            allBits |= byte
            position += 1
        }
        throw problem("unexpected end of text")
    }

    /// `String(validating:)` looks its generic types up for every text, which takes longer than reading most
    /// texts.
    private static func text(_ bytes: UnsafeBufferPointer<UInt8>, isASCII: Bool) -> String? {
        isASCII ? String(decoding: bytes, as: UTF8.self) : String(validating: bytes, as: UTF8.self)
    }

    private mutating func escapedString(from start: Int) throws(JSONProblem) -> String {
        var out = Array(bytes[start..<position])
        while let byte = next {
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: out, as: UTF8.self) else {
                    throw JSONProblem(offset: start, reason: "invalid UTF-8")
                }
                position += 1
                return text
            case UInt8(ascii: "\\"): try escape(into: &out)
            case 0..<0x20: throw problem("control character in a text")
            default:
                out.append(byte)
                position += 1
            }
        }
        throw problem("unexpected end of text")
    }

    private mutating func escape(into out: inout [UInt8]) throws(JSONProblem) {
        position += 1
        guard let kind = next else { throw problem("unexpected end of text") }
        position += 1
        switch kind {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): out.append(kind)
        case UInt8(ascii: "b"): out.append(0x08)
        case UInt8(ascii: "f"): out.append(0x0C)
        case UInt8(ascii: "n"): out.append(0x0A)
        case UInt8(ascii: "r"): out.append(0x0D)
        case UInt8(ascii: "t"): out.append(0x09)
        case UInt8(ascii: "u"):
            let scalar = try escapedScalar()
            out.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        default: throw problem("unknown escape")
        }
    }

    /// The scalar after `\u`; half of a surrogate pair is U+FFFD.
    private mutating func escapedScalar() throws(JSONProblem) -> Unicode.Scalar {
        let code = try hexQuad()
        guard (0xD800..<0xDC00).contains(code) else { return Unicode.Scalar(code) ?? "\u{FFFD}" }
        let end = position
        guard position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
            bytes[position + 1] == UInt8(ascii: "u")
        else { return "\u{FFFD}" }
        position += 2
        let low = try hexQuad()
        guard (0xDC00..<0xE000).contains(low) else {
            // The second escape is a scalar of its own.
            position = end
            return "\u{FFFD}"
        }
        return Unicode.Scalar(0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)) ?? "\u{FFFD}"
    }

    private mutating func hexQuad() throws(JSONProblem) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = Hex.digit(byte) else {
                throw problem("expected four hex digits")
            }
            code = code << 4 | UInt32(digit)
            position += 1
        }
        return code
    }
}
