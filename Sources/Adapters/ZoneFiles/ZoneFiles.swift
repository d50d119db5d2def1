import Glibc
package import Ports
package import Schedules
import Values

/// The system's time zone database, with one file per zone; each is cached after its first use.
package final class ZoneFiles: TimeZones, @unchecked Sendable {
    // Unchecked: `known` is guarded by `lock`.
    private static let fileByteCountMax = 256 * 1024

    private let folder: String
    private let lock = Lock()
    private var known = LRUCache<String, TimeZoneRules>(weightMax: 1_000)

    /// - Parameter folder: The path of the database.
    package init(folder: String = "/usr/share/zoneinfo") { self.folder = folder }

    package func rules(of name: String) throws(TimeZoneError) -> TimeZoneRules {
        if name == "UTC" { return .utc }
        if let rules = lock.withLock({ known.use(name) }) { return rules }
        guard Self.isName(name) else { throw .unknown(name: name) }
        let bytes = try read(name)
        var reader = TZifReader(bytes)
        let rules: TimeZoneRules
        do throws(TZifReader.Problem) { rules = try reader.rules() } catch {
            throw .malformed(name: name, reason: error.reason)
        }
        lock.withLock { known.insert(rules, for: name) }
        return rules
    }

    /// Whether a name is one to three parts of letters, digits, `_`, `+` and `-`, so that it cannot leave the
    /// folder.
    ///
    /// `posix` and `right` are refused: they hold the database again, the latter with leap seconds.
    private static func isName(_ name: String) -> Bool {
        let parts = name.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard name.utf8.count <= 64, parts.count <= 3, let first = parts.first else { return false }
        if ["posix", "right"].contains(where: { first.elementsEqual($0.utf8) }) { return false }
        return parts.allSatisfy { part in
            guard let initial = part.first, (0x41...0x5A).contains(initial & 0xDF) else { return false }
            return part.allSatisfy { byte in
                (0x41...0x5A).contains(byte & 0xDF) || (0x30...0x39).contains(byte)
                    || "_+-".utf8.contains(byte)
            }
        }
    }

    private func read(_ name: String) throws(TimeZoneError) -> [UInt8] {
        let file = open("\(folder)/\(name)", O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else {
            let isMissing = [ENOENT, ENOTDIR, ENAMETOOLONG].contains(errno)
            throw isMissing ? .unknown(name: name) : .unreadable(name: name, reason: "error \(errno)")
        }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw .unknown(name: name)
        }
        var bytes: [UInt8] = []
        var portion = [UInt8](repeating: 0, count: 16 * 1024)
        while true {
            let count = Glibc.read(file, &portion, portion.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .unreadable(name: name, reason: "error \(errno)") }
            if count == 0 { return bytes }
            bytes += portion.prefix(count)
            guard bytes.count <= Self.fileByteCountMax else {
                throw .malformed(name: name, reason: "it is larger than \(Self.fileByteCountMax) bytes")
            }
        }
    }
}
