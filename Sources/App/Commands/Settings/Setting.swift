import Values
import Workflow

/// One setting: the table entry from which flag, variable, file key, help, checks and
/// `docs/configuration.md` come.
package struct Setting: Sendable, Hashable {
    package enum Kind: Sendable, Hashable {
        case text
        case path
        /// Begins with `http://` or `https://` and names a host; a path may follow.
        case url
        /// `127.0.0.1:7070` or `[::1]:7070`.
        case address
        /// Bounds in the setting's own unit.
        case integer(ClosedRange<Int64>)
        /// Written as `30s`, `15m`, `30d`; bounds in seconds.
        case duration(ClosedRange<Int64>)
        /// Comma separated, and repeatable as a flag: addresses and ranges with or without a port.
        case destinations
        /// Three capital letters.
        case currency
    }

    package enum Audience: String, Sendable, Hashable { case server, client }

    /// In a file, and with two dashes the flag: `internal-listen`.
    package var name: String
    package var audience: Audience
    package var kind: Kind
    package var placeholder: String
    /// Nil where there is none: then it is needed, or another takes its place, as `summary` says.
    package var standard: String?
    /// One sentence without a full stop, naming the unit.
    package var summary: String

    /// `MILLRACE_INTERNAL_LISTEN`.
    package var variable: String {
        "MILLRACE_" + String(name.uppercased().map { $0 == "-" ? "_" : $0 })
    }

    package var option: Option {
        let note = standard.map { " (default \($0.isEmpty ? "none" : $0))" } ?? ""
        return Option(
            name, placeholder: placeholder, isRepeated: kind == .destinations,
            "\(summary)\(note) [\(variable)]")
    }

    /// Bounds and form as the documentation shows them.
    package var form: String {
        switch kind {
        case .text: "text"
        case .path: "path"
        case .url: "URL"
        case .address: "address:port"
        case .integer(let range): "\(range.lowerBound) to \(range.upperBound)"
        case .duration(let range):
            "\(DurationText.write(.seconds(range.lowerBound))) to \(DurationText.write(.seconds(range.upperBound)))"
        case .destinations: "list of address[/bits][:port]"
        case .currency: "three capital letters"
        }
    }

    /// What is wrong with a value as a clause; nil where it is right.
    package func complaint(about value: String) -> String? {
        switch kind {
        case .text, .path: return value.isEmpty ? "must not be empty" : nil
        case .url: return Self.isURL(value) ? nil : "must be an address such as https://millrace.example"
        case .address:
            return SocketAddress(value) == nil
                ? "must be a numeric address and a port, such as 127.0.0.1:7070" : nil
        case .integer(let range):
            return Int64(value).map(range.contains) ?? false ? nil : "must be a whole number, \(form)"
        case .duration(let range):
            let bounds = Duration.seconds(range.lowerBound)...Duration.seconds(range.upperBound)
            return DurationText.read(value).map(bounds.contains) ?? false
                ? nil : "must be a duration such as 30s or 15m, \(form)"
        case .destinations:
            let bad = Destinations.parts(value).first { Destinations.read($0) == nil }
            return bad.map { "holds `\($0)`, which is no address, range or address with a port" }
        case .currency:
            return Money.digits(of: value) != nil ? nil : "must be a currency of ISO 4217, such as EUR"
        }
    }

    /// Other addresses are appended to it, so there is neither query nor fragment.
    private static func isURL(_ text: String) -> Bool {
        guard let scheme = ["https://", "http://"].first(where: text.hasPrefix) else { return false }
        let host = text.utf8.dropFirst(scheme.utf8.count).prefix { $0 != UInt8(ascii: "/") }
        return !host.isEmpty && host.first != UInt8(ascii: ":")
            && text.utf8.allSatisfy { (0x21...0x7E).contains($0) && !"?#\\".utf8.contains($0) }
    }
}
