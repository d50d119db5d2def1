import Glibc
import Values

/// Decodes one layer of escapes: percent-encoding, the escapes of JSON and source code, and HTML character
/// references.
///
/// All kinds are decoded at once, because a text may contain several. An incomplete escape is kept as it is.
struct Unescaping {
    /// The decoded text.
    private(set) var bytes: [UInt8] = []
    /// The origin of each decoded byte in the text; empty unless requested.
    private(set) var origins: [Range<Int32>] = []

    /// Decodes a text; nil if it contains no complete escape.
    ///
    /// - Parameters:
    ///   - text: Any bytes.
    ///   - keepsOrigins: Whether to fill ``origins``.
    init?(_ text: UnsafeBufferPointer<UInt8>, keepsOrigins: Bool = false) {
        guard var position = Self.firstEscape(in: text) else { return nil }
        var copied = 0
        var plain: [UInt8] = []
        while position < text.count {
            let count = Self.escape(in: text, at: position, &plain)
            guard count > 0 else {
                position += 1
                continue
            }
            if bytes.isEmpty { bytes.reserveCapacity(text.count) }
            copy(text, copied..<position, keepsOrigins)
            bytes.append(contentsOf: plain)
            if keepsOrigins {
                let origin = Int32(truncatingIfNeeded: position)..<Int32(truncatingIfNeeded: position + count)
                origins.append(contentsOf: repeatElement(origin, count: plain.count))
            }
            plain.removeAll(keepingCapacity: true)
            position += count
            copied = position
        }
        guard copied > 0 else { return nil }
        copy(text, copied..<text.count, keepsOrigins)
    }

    /// Copies unescaped text.
    private mutating func copy(
        _ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ keepsOrigins: Bool
    ) {
        bytes.append(contentsOf: text[range])
        guard keepsOrigins else { return }
        for index in range {
            origins.append(Int32(truncatingIfNeeded: index)..<Int32(truncatingIfNeeded: index + 1))
        }
    }

    /// The position of the first possible escape; the C library scans many bytes at once.
    private static func firstEscape(in text: UnsafeBufferPointer<UInt8>) -> Int? {
        guard let base = text.baseAddress else { return nil }
        let found = [UInt8(ascii: "%"), UInt8(ascii: "\\"), UInt8(ascii: "&")].compactMap { byte in
            memchr(base, Int32(byte), text.count).map { UnsafeRawPointer($0) - UnsafeRawPointer(base) }
        }
        return found.min()
    }

    /// Appends what the escape at `start` stands for and returns its length; 0 if there is none.
    private static func escape(
        in text: UnsafeBufferPointer<UInt8>, at start: Int, _ out: inout [UInt8]
    ) -> Int {
        switch text[start] {
        case UInt8(ascii: "%"): percent(text, start, &out)
        case UInt8(ascii: "\\"): backslash(text, start, &out)
        case UInt8(ascii: "&"): reference(text, start, &out)
        default: 0
        }
    }

    // MARK: - Percent

    /// `%2F`, or `%u00E9` as JavaScript's `escape` writes it.
    private static func percent(
        _ text: UnsafeBufferPointer<UInt8>, _ start: Int, _ out: inout [UInt8]
    ) -> Int {
        if let byte = hex(text, start + 1, count: 2) { return bytes(text, start, byte, signCount: 1, &out) }
        guard start + 1 < text.count, text[start + 1] == UInt8(ascii: "u") else { return 0 }
        return utf16(text, start, &out)
    }

    /// Two signs and four digits, or a pair of these for a scalar above U+FFFF.
    private static func utf16(_ text: UnsafeBufferPointer<UInt8>, _ start: Int, _ out: inout [UInt8]) -> Int {
        guard let unit = hex(text, start + 2, count: 4) else { return 0 }
        guard (0xD800..<0xDC00).contains(unit) else { return append(unit, &out) ? 6 : 0 }
        guard start + 7 < text.count, text[start + 6] == text[start], text[start + 7] == text[start + 1],
            let low = hex(text, start + 8, count: 4), (0xDC00..<0xE000).contains(low)
        else { return 0 }
        return append(0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00), &out) ? 12 : 0
    }

    // MARK: - Backslash

    private static func backslash(
        _ text: UnsafeBufferPointer<UInt8>, _ start: Int, _ out: inout [UInt8]
    ) -> Int {
        guard start + 1 < text.count else { return 0 }
        let byte = text[start + 1]
        if let plain = plainEscape(byte) {
            out.append(plain)
            return 2
        }
        switch byte {
        case UInt8(ascii: "u") where start + 2 < text.count && text[start + 2] == UInt8(ascii: "{"):
            return braced(text, start, &out)
        case UInt8(ascii: "u"): return utf16(text, start, &out)
        case UInt8(ascii: "U"):
            guard let scalar = hex(text, start + 2, count: 8) else { return 0 }
            return append(scalar, &out) ? 10 : 0
        case UInt8(ascii: "x"):
            return hex(text, start + 2, count: 2).map { bytes(text, start, $0, signCount: 2, &out) } ?? 0
        default: return 0
        }
    }

    private static func plainEscape(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "\\"), UInt8(ascii: "/"): byte
        case UInt8(ascii: "b"): 0x08
        case UInt8(ascii: "f"): 0x0C
        case UInt8(ascii: "n"): 0x0A
        case UInt8(ascii: "r"): 0x0D
        case UInt8(ascii: "t"): 0x09
        default: nil
        }
    }

    /// `\u{1F600}`.
    private static func braced(
        _ text: UnsafeBufferPointer<UInt8>, _ start: Int, _ out: inout [UInt8]
    ) -> Int {
        var end = start + 3
        var scalar: UInt32 = 0
        while end < text.count, end < start + 9, let digit = Hex.digit(text[end]) {
            scalar = scalar << 4 | UInt32(digit)
            end += 1
        }
        guard end > start + 3, end < text.count, text[end] == UInt8(ascii: "}"), append(scalar, &out) else {
            return 0
        }
        return end + 1 - start
    }

    // MARK: - Character references

    /// `&quot;`, `&#39;`, `&#x27;`; a numeric reference may lack its semicolon.
    private static func reference(
        _ text: UnsafeBufferPointer<UInt8>, _ start: Int, _ out: inout [UInt8]
    ) -> Int {
        guard start + 2 < text.count else { return 0 }
        guard text[start + 1] == UInt8(ascii: "#") else { return named(text, start, &out) }
        let isHex = text[start + 2] | 0x20 == UInt8(ascii: "x")
        var end = start + (isHex ? 3 : 2)
        let first = end
        var scalar: UInt32 = 0
        while end < text.count, end < first + 8, let digit = Hex.digit(text[end]), isHex || digit < 10 {
            scalar = scalar &* (isHex ? 16 : 10) &+ UInt32(digit)
            end += 1
        }
        guard end > first, append(scalar, &out) else { return 0 }
        if end < text.count, text[end] == UInt8(ascii: ";") { end += 1 }
        return end - start
    }

    private static func named(
        _ text: UnsafeBufferPointer<UInt8>, _ start: Int, _ out: inout [UInt8]
    ) -> Int {
        var name: UInt64 = 0
        var end = start + 1
        while end < text.count, end <= start + 8, isNameByte(text[end]) {
            name = name << 8 | UInt64(text[end])
            end += 1
        }
        guard end < text.count, text[end] == UInt8(ascii: ";"), let scalar = CharacterNames.scalar(name),
            append(scalar, &out)
        else { return 0 }
        return end + 1 - start
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        (0x61...0x7A).contains(byte) || (0x41...0x5A).contains(byte) || (0x30...0x39).contains(byte)
    }

    // MARK: - Parts

    /// Escaped bytes: `%C3%A9` or `\xc3\xa9` is one scalar in UTF-8.
    ///
    /// A byte above ASCII that is not part of UTF-8 is Latin-1, as JavaScript's `escape` and Python's `repr`
    /// write it.
    private static func bytes(
        _ text: UnsafeBufferPointer<UInt8>, _ start: Int, _ first: UInt32, signCount: Int,
        _ out: inout [UInt8]
    ) -> Int {
        let byteCount = signCount + 2
        guard first >= 0x80 else {
            out.append(UInt8(truncatingIfNeeded: first))
            return byteCount
        }
        let count = first < 0xC2 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 1
        var character = [UInt8(truncatingIfNeeded: first)]
        for index in 1..<max(2, count) {
            let next = start + index * byteCount
            guard next + byteCount <= text.count,
                (0..<signCount).allSatisfy({ text[next + $0] == text[start + $0] }),
                let byte = hex(text, next + signCount, count: 2), (0x80..<0xC0).contains(byte)
            else { break }
            character.append(UInt8(truncatingIfNeeded: byte))
        }
        guard count > 1, character.count == count else { return append(first, &out) ? byteCount : 0 }
        out.append(contentsOf: character)
        return count * byteCount
    }

    private static func hex(_ text: UnsafeBufferPointer<UInt8>, _ start: Int, count: Int) -> UInt32? {
        guard start + count <= text.count else { return nil }
        var number: UInt32 = 0
        for index in start..<(start + count) {
            guard let digit = Hex.digit(text[index]) else { return nil }
            number = number << 4 | UInt32(digit)
        }
        return number
    }

    /// Appends a scalar; false if it is invalid.
    private static func append(_ scalar: UInt32, _ out: inout [UInt8]) -> Bool {
        guard let scalar = Unicode.Scalar(scalar) else { return false }
        out.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        return true
    }
}

/// HTML's names for ASCII punctuation, Latin-1 letters and some typographic signs.
enum CharacterNames {
    /// The scalar with a name, whose bytes are packed into a number, the last one lowest.
    static func scalar(_ name: UInt64) -> UInt32? { table[name] }

    private static let table: [UInt64: UInt32] = {
        var table: [UInt64: UInt32] = [:]
        func add(_ name: some StringProtocol, _ scalar: UInt32) {
            table[name.utf8.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }] = scalar
        }
        for (index, name) in latin1.split(separator: " ").enumerated() { add(name, 0xA0 + UInt32(index)) }
        for pair in others.split(separator: " ") {
            let halves = pair.split(separator: "=")
            if let scalar = UInt32(halves[1], radix: 16) { add(halves[0], scalar) }
        }
        return table
    }()

    /// U+00A0 to U+00FF, in order.
    private static let latin1 = """
        nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn sup2 sup3 acute \
        micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde Auml Aring AElig \
        Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash \
        Ugrave Uacute Ucirc Uuml Yacute THORN szlig agrave aacute acirc atilde auml aring aelig ccedil egrave eacute \
        ecirc euml igrave iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc \
        uuml yacute thorn yuml
        """

    private static let others = """
        quot=22 QUOT=22 amp=26 AMP=26 lt=3C LT=3C gt=3E GT=3E apos=27 Tab=9 NewLine=A excl=21 num=23 dollar=24 \
        percnt=25 lpar=28 rpar=29 ast=2A midast=2A plus=2B comma=2C period=2E sol=2F colon=3A semi=3B equals=3D \
        quest=3F commat=40 lsqb=5B lbrack=5B bsol=5C rsqb=5D rbrack=5D Hat=5E lowbar=5F UnderBar=5F grave=60 lcub=7B \
        lbrace=7B verbar=7C vert=7C VerticalLine=7C rcub=7D rbrace=7D euro=20AC ndash=2013 mdash=2014 lsquo=2018 \
        rsquo=2019 sbquo=201A ldquo=201C rdquo=201D bdquo=201E bull=2022 hellip=2026 trade=2122 OElig=152 oelig=153 \
        Scaron=160 scaron=161 Yuml=178 fnof=192 circ=2C6 tilde=2DC hyphen=2010
        """
}
