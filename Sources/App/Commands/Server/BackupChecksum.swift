import Glibc
import OpenSSLCrypto
import Values

/// The checksum of a backup, in a file beside it that `sha256sum --check` reads, too.
///
/// SQLite has no checksums of content: without this, a bit that flips in a journal would be restored.
enum BackupChecksum {
    enum Standing: Equatable {
        case matches
        /// There is no file of checksums.
        case missing
        /// The backup is not the file that was written.
        case differs
    }

    static func path(of backup: String) -> String { backup + ".sha256" }

    /// Writes the checksum of `file` as that of `backup`, which is its later name.
    static func write(of file: String, as backup: String) throws(Files.Problem) {
        let digest = try sha256(ofFile: file)
        let name = backup.split(separator: "/").last.map { String($0) } ?? backup
        try Files.replace(path(of: backup), Array("\(Hex.encode(digest))  \(name)\n".utf8))
    }

    static func standing(of backup: String) throws(Files.Problem) -> Standing {
        guard Files.exists(path(of: backup)) else { return .missing }
        let text = String(decoding: try Files.read(path(of: backup), atMost: 4096), as: UTF8.self)
        let expected = String(text.prefix { $0.isHexDigit }).lowercased()
        return expected == Hex.encode(try sha256(ofFile: backup)) ? .matches : .differs
    }

    private static func sha256(ofFile path: String) throws(Files.Problem) -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw Files.problem(path) }
        defer { close(file) }
        return try OpenSSLCryptography().sha256 { () throws(Files.Problem) in
            var part = [UInt8](repeating: 0, count: 1 << 20)
            let count = read(file, &part, part.count)
            guard count >= 0 else { throw Files.problem(path) }
            part.removeLast(part.count - count)
            return part
        }
    }
}
