/// A character encoding that a `charset` parameter can name.
enum Charset {
    case utf8, latin1, windows1252, latin9, utf16, utf16LittleEndian, utf16BigEndian

    /// The charset with this name, ignoring case; nil if it is unknown.
    init?(_ label: String) {
        switch label.lowercased() {
        // ASCII is a subset of UTF-8, and senders that say ASCII but send more usually mean UTF-8.
        case "utf-8", "utf8", "us-ascii", "ascii": self = .utf8
        case "iso-8859-1", "iso8859-1", "iso_8859-1", "latin1", "latin-1", "l1": self = .latin1
        case "windows-1252", "cp1252", "cp-1252", "x-cp1252": self = .windows1252
        case "iso-8859-15", "iso8859-15", "iso_8859-15", "latin-9", "latin9", "l9": self = .latin9
        case "utf-16", "utf16": self = .utf16
        case "utf-16le": self = .utf16LittleEndian
        case "utf-16be": self = .utf16BigEndian
        default: return nil
        }
    }

    /// The bytes decoded in this charset; nil if they are invalid.
    func text(_ bytes: [UInt8]) -> String? {
        switch self {
        case .utf8: return String(validating: bytes, as: UTF8.self)
        case .latin1: return Self.text(bytes) { UInt32($0) }
        case .windows1252:
            return Self.text(bytes) { byte in
                (0x80..<0xA0).contains(byte) ? Self.windows1252High[Int(byte) - 0x80] : UInt32(byte)
            }
        case .latin9: return Self.text(bytes) { Self.latin9Other[$0] ?? UInt32($0) }
        case .utf16:
            if bytes.starts(with: [0xFF, 0xFE]) { return Self.wide(bytes.dropFirst(2), bigEndian: false) }
            return Self.wide(
                bytes.starts(with: [0xFE, 0xFF]) ? bytes.dropFirst(2) : bytes[...], bigEndian: true)
        case .utf16LittleEndian: return Self.wide(bytes[...], bigEndian: false)
        case .utf16BigEndian: return Self.wide(bytes[...], bigEndian: true)
        }
    }

    private static func text(_ bytes: [UInt8], _ code: (UInt8) -> UInt32) -> String? {
        var text = ""
        text.reserveCapacity(bytes.count + bytes.count / 8)
        for byte in bytes {
            guard let scalar = Unicode.Scalar(code(byte)) else { return nil }
            text.unicodeScalars.append(scalar)
        }
        return text
    }

    private static func wide(_ bytes: ArraySlice<UInt8>, bigEndian: Bool) -> String? {
        guard bytes.count.isMultiple(of: 2) else { return nil }
        var units: [UInt16] = []
        units.reserveCapacity(bytes.count / 2)
        for index in stride(from: bytes.startIndex, to: bytes.endIndex, by: 2) {
            let (first, second) = (UInt16(bytes[index]), UInt16(bytes[index + 1]))
            units.append(bigEndian ? first << 8 | second : second << 8 | first)
        }
        return String(validating: units, as: UTF16.self)
    }

    /// 0x80 to 0x9F; the five undefined bytes map to the control characters with the same number.
    private static let windows1252High: [UInt32] = [
        0x20AC, 0x81, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152,
        0x8D, 0x017D, 0x8F, 0x90, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122,
        0x0161, 0x203A, 0x0153, 0x9D, 0x017E, 0x0178,
    ]

    /// The differences from latin-1.
    private static let latin9Other: [UInt8: UInt32] = [
        0xA4: 0x20AC, 0xA6: 0x0160, 0xA8: 0x0161, 0xB4: 0x017D, 0xB8: 0x017E, 0xBC: 0x0152, 0xBD: 0x0153,
        0xBE: 0x0178,
    ]
}
