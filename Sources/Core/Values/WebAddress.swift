#if canImport(Glibc)
    import Glibc
#endif

/// An absolute `http` or `https` URL in the normalised form in which it is sent, signed and shown.
///
/// HTTP clients complete an empty path, omit the default port, and read `127.1` as an address. Here that is
/// done first, so that every use sees the same form: lower-case scheme and host, addresses in the system's
/// notation, no default port, and a path that starts with a slash. Path and query stay as they are, dot
/// segments included.
package struct WebAddress: Sendable, Equatable {
    package struct Problem: Error, Equatable {
        package let reason: String
    }

    package let text: String
    /// Without the port; an IPv6 address keeps its brackets.
    package let host: String

    /// Parses a URL.
    ///
    /// - Throws: ``Problem`` if it has another scheme, a user name, or an invalid host or port.
    package init(_ url: String) throws(Problem) {
        var url = url
        let read = url.withUTF8 { bytes in Result { () throws(Problem) in try Self.read(bytes) } }
        (text, host) = try read.get()
    }

    /// Whether a byte may be part of a host with its port, an IPv6 address included.
    package static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"),
            UInt8(ascii: ":"), UInt8(ascii: "["), UInt8(ascii: "]"):
            true
        default: false
        }
    }

    private typealias Bytes = Slice<UnsafeBufferPointer<UInt8>>

    private static func read(
        _ bytes: UnsafeBufferPointer<UInt8>
    ) throws(Problem) -> (text: String, host: String) {
        let isSecure = bytes.begins(withLowercase: "https://")
        guard isSecure || bytes.begins(withLowercase: "http://") else {
            throw Problem(reason: "must begin with http:// or https://")
        }
        let rest = bytes[(isSecure ? 8 : 7)...]
        let end = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? rest.endIndex
        let authority = rest[..<end]
        guard !authority.isEmpty, authority.allSatisfy(isHostByte) else {
            throw Problem(reason: "the host is missing or contains what no host name has")
        }
        let hostEnd = hostEnd(of: authority)
        let host = try host(authority[..<hostEnd])
        let port = try port(authority[hostEnd...], standard: isSecure ? 443 : 80)
        let path = rest[end...]
        let slash = path.first == UInt8(ascii: "/") ? "" : "/"
        let text =
            (isSecure ? "https://" : "http://") + host + (port.map { ":\($0)" } ?? "") + slash
            + String(decoding: path, as: UTF8.self)
        return (text, host)
    }

    /// The index of the colon before the port, or the end.
    private static func hostEnd(of authority: Bytes) -> Int {
        let bracket = authority.lastIndex(of: UInt8(ascii: "]")) ?? authority.startIndex
        return authority[bracket...].firstIndex(of: UInt8(ascii: ":")) ?? authority.endIndex
    }

    /// The port; nil for the default one, and for a colon without a port.
    private static func port(_ written: Bytes, standard: Int) throws(Problem) -> Int? {
        let digits = written.dropFirst()
        if digits.isEmpty { return nil }
        let isNumber = digits.allSatisfy { (0x30...0x39).contains($0) }
        let number = isNumber ? digits.reduce(0) { min($0 * 10 + Int($1 & 15), 65_536) } : 0
        guard (1...65_535).contains(number) else {
            throw Problem(reason: "the port is not a number from 1 to 65535")
        }
        return number == standard ? nil : number
    }

    private static func host(_ bytes: Bytes) throws(Problem) -> String {
        let text = String(decoding: bytes.map(\.lowercasedASCII), as: UTF8.self)
        if text.utf8.contains(where: { $0 == UInt8(ascii: "[") || $0 == UInt8(ascii: "]") }) {
            guard text.utf8.first == UInt8(ascii: "["), text.utf8.last == UInt8(ascii: "]"),
                let address = address6(String(text.dropFirst().dropLast()))
            else { throw Problem(reason: "what stands in brackets is no IPv6 address") }
            return "[\(address)]"
        }
        guard !text.isEmpty else { throw Problem(reason: "the host is missing") }
        return address4(text) ?? text
    }

    private static func address6(_ text: String) -> String? {
        var address = in6_addr()
        guard inet_pton(AF_INET6, text, &address) == 1 else { return nil }
        var out = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard inet_ntop(AF_INET6, &address, &out, socklen_t(out.count)) != nil else { return nil }
        return String(decoding: out.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// An IPv4 address in any form that systems accept, rewritten as four decimal numbers; nil for a name.
    ///
    /// Such forms are `127.1`, `0x7f.1`, `017700000001` and `2130706433`.
    private static func address4(_ text: String) -> String? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard (1...4).contains(parts.count) else { return nil }
        var address: UInt64 = 0
        for (index, part) in parts.enumerated() {
            // The last part fills all remaining bytes.
            let byteCount = index == parts.count - 1 ? 5 - parts.count : 1
            guard let number = number(part), number < 1 << UInt64(8 * byteCount) else { return nil }
            address = address << UInt64(8 * byteCount) | number
        }
        return [24, 16, 8, 0].map { String(address >> UInt64($0) & 255) }.joined(separator: ".")
    }

    /// Parses a number as C does: `0x` means hexadecimal, another leading `0` octal.
    private static func number(_ text: Substring) -> UInt64? {
        guard let first = text.utf8.first, (0x30...0x39).contains(first), text.utf8.count <= 16 else {
            return nil
        }
        if text.hasPrefix("0x") { return UInt64(text.dropFirst(2), radix: 16) }
        return first == 0x30 && text.utf8.count > 1 ? UInt64(text, radix: 8) : UInt64(text)
    }
}
