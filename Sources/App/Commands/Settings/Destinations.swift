import Glibc
package import Ports

/// A numeric address and a port to listen on.
package struct SocketAddress: Sendable, Hashable, CustomStringConvertible {
    /// Without brackets.
    package var host: String
    package var port: UInt16

    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// Reads `127.0.0.1:7070` or `[::1]:7070`; nil for anything else.
    package init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
            guard Destinations.bitCount(of: host) == 128 else { return nil }
        } else {
            guard Destinations.bitCount(of: host) == 32 else { return nil }
        }
        self.init(host: host, port: port)
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// Whether it stands for every address of the machine.
    package var isWildcard: Bool { host == "0.0.0.0" || host == "::" }

    /// The address itself, or all there are where it is a wildcard, on its port.
    package var destinations: [EgressPolicy.Destination] {
        let ranges = isWildcard ? ["0.0.0.0/0", "::/0"] : [host]
        return ranges.map { EgressPolicy.Destination(range: $0, port: port) }
    }
}

/// Lists of addresses as settings write them: `10.0.0.0/8`, `127.0.0.1:9000`, `[fd00::/8]:443`.
package enum Destinations {
    package static func parts(_ list: String) -> [String] {
        list.split(separator: ",").map { String($0).trimmed }.filter { !$0.isEmpty }
    }

    /// All of a list that has been checked.
    package static func readAll(_ list: String) -> [EgressPolicy.Destination] {
        parts(list).compactMap { read($0) }
    }

    /// One of them; nil for what is no address, no range or has no right port.
    package static func read(_ text: String) -> EgressPolicy.Destination? {
        var range = text
        var port: UInt16?
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { return nil }
            range = String(text[text.index(after: text.startIndex)..<end])
            let rest = text[text.index(after: end)...]
            if !rest.isEmpty {
                guard rest.hasPrefix(":"), let number = UInt16(rest.dropFirst()) else { return nil }
                port = number
            }
        } else if text.utf8.count(where: { $0 == UInt8(ascii: ":") }) == 1,
            let colon = text.firstIndex(of: ":")
        {
            guard let number = UInt16(text[text.index(after: colon)...]) else { return nil }
            (range, port) = (String(text[..<colon]), number)
        }
        let halves = range.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let bits = bitCount(of: String(halves[0])) else { return nil }
        if halves.count == 2 {
            guard let length = Int(halves[1]), (0...bits).contains(length) else { return nil }
        }
        return EgressPolicy.Destination(range: range, port: port)
    }

    /// 32 or 128 for a numeric address, nil for any other text.
    static func bitCount(of address: String) -> Int? {
        var buffer = [UInt8](repeating: 0, count: 16)
        if inet_pton(AF_INET, address, &buffer) == 1 { return 32 }
        return inet_pton(AF_INET6, address, &buffer) == 1 ? 128 : nil
    }
}
