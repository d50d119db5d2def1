/// Lowercase hexadecimal; decoding accepts both cases.
package enum Hex {
    package static func encode(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var out: [UInt8] = []
        for byte in bytes {
            out.append(digits[Int(byte >> 4)])
            out.append(digits[Int(byte & 15)])
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// The bytes; nil if a character is no hex digit or their number is odd.
    package static func decode(_ text: String) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count.isMultiple(of: 2) else { return nil }
        var out: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = digit(digits[index]), let low = digit(digits[index + 1]) else { return nil }
            out.append(high << 4 | low)
        }
        return out
    }

    /// The value of a hex digit in either case; nil for any other byte.
    package static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}

/// Base64 of RFC 4648, section 4 (`+` and `/`, padded).
package enum Base64 {
    private static let alphabet = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    package static func encode(_ bytes: [UInt8]) -> String {
        var out: [UInt8] = []
        out.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let count = min(3, bytes.count - start)
            var group: UInt32 = 0
            for offset in 0..<3 { group = group << 8 | (offset < count ? UInt32(bytes[start + offset]) : 0) }
            for position in 0..<4 {
                let digit = alphabet[Int(group >> UInt32(18 - 6 * position) & 63)]
                out.append(position <= count ? digit : UInt8(ascii: "="))
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// The bytes; nil if a character is invalid or the length is impossible.
    ///
    /// Padding is optional; `-` and `_` are accepted too.
    package static func decode(_ text: String) -> [UInt8]? {
        var out: [UInt8] = []
        var group: UInt32 = 0
        var bits = 0
        var characters = Array(text.utf8)
        while characters.last == UInt8(ascii: "=") { characters.removeLast() }
        if characters.count % 4 == 1 { return nil }
        for byte in characters {
            let digit: UInt32
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): digit = UInt32(byte) - 65
            case UInt8(ascii: "a")...UInt8(ascii: "z"): digit = UInt32(byte) - 97 + 26
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = UInt32(byte) - 48 + 52
            case UInt8(ascii: "+"), UInt8(ascii: "-"): digit = 62
            case UInt8(ascii: "/"), UInt8(ascii: "_"): digit = 63
            default: return nil
            }
            group = group << 6 | digit
            bits += 6
            if bits >= 8 {
                bits -= 8
                out.append(UInt8(truncatingIfNeeded: group >> UInt32(bits)))
                group &= (1 << UInt32(bits)) - 1
            }
        }
        return out
    }
}

/// Percent-encoding for URLs and `application/x-www-form-urlencoded`.
package enum Percent {
    /// Encodes all but RFC 3986's unreserved characters, so that the result is safe in a path segment and in
    /// a query.
    package static func encode(_ text: String, keeping extra: Set<UInt8> = []) -> String {
        encode(text.utf8, keeping: extra)
    }

    package static func encode(_ bytes: some Sequence<UInt8>, keeping extra: Set<UInt8> = []) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var out: [UInt8] = []
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"), UInt8(ascii: "~"):
                out.append(byte)
            case _ where extra.contains(byte): out.append(byte)
            default:
                out.append(contentsOf: [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]])
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// Decodes percent-encoding; nil if a `%` is not followed by two hex digits.
    package static func decode(_ bytes: some Sequence<UInt8>, plusIsSpace: Bool) -> [UInt8]? {
        var out: [UInt8] = []
        var iterator = bytes.makeIterator()
        while let byte = iterator.next() {
            if byte == UInt8(ascii: "%") {
                guard let first = iterator.next(), let second = iterator.next(), let high = Hex.digit(first),
                    let low = Hex.digit(second)
                else { return nil }
                out.append(high << 4 | low)
            } else if byte == UInt8(ascii: "+"), plusIsSpace {
                out.append(UInt8(ascii: " "))
            } else {
                out.append(byte)
            }
        }
        return out
    }
}

/// `application/x-www-form-urlencoded`, with Stripe's brackets for nested values.
package enum FormEncoding {
    /// Encodes an object; `{a: {b: [1]}}` becomes `a[b][0]=1`.
    ///
    /// An empty list or map is omitted; null becomes an empty text.
    package static func encode(_ value: Value) -> String {
        var pairs: [String] = []
        func add(_ value: Value, under name: String) {
            switch value {
            case .array(let items):
                for (index, item) in items.enumerated() { add(item, under: "\(name)[\(index)]") }
            case .object(let object):
                for member in object.members { add(member.value, under: "\(name)[\(encode(member.name))]") }
            case .bytes(let bytes): pairs.append("\(name)=\(Percent.encode(bytes))")
            default: pairs.append("\(name)=\(encode(value.text))")
            }
        }
        func encode(_ text: String) -> String { Percent.encode(text) }
        for member in value.object?.members ?? [] { add(member.value, under: encode(member.name)) }
        return pairs.joined(separator: "&")
    }

    /// The decoded pairs in order; nil if an escape or the UTF-8 is invalid.
    package static func pairs(_ bytes: [UInt8]) -> [(name: String, value: String)]? {
        var pairs: [(name: String, value: String)] = []
        for part in bytes.split(separator: UInt8(ascii: "&")) {
            let halves = part.split(
                separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Percent.decode(halves[0], plusIsSpace: true),
                let value = Percent.decode(halves.count > 1 ? halves[1] : [], plusIsSpace: true),
                let nameText = String(validating: name, as: UTF8.self),
                let valueText = String(validating: value, as: UTF8.self)
            else { return nil }
            pairs.append((nameText, valueText))
        }
        return pairs
    }
}
