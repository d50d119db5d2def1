import Glibc

/// Files and folders as commands need them, over the system's own calls.
package enum Files {
    /// Why a file could not be read or written.
    package struct Problem: Error, Sendable, Hashable {
        package let path: String
        package let reason: String
    }

    static func problem(_ path: String) -> Problem {
        Problem(path: path, reason: String(cString: strerror(errno)))
    }

    /// The whole file, at most `limit` bytes of it.
    package static func read(_ path: String, atMost limit: Int = 16 << 20) throws(Problem) -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw problem(path) }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw problem(path) }
        guard status.st_mode & S_IFMT != S_IFDIR else { throw Problem(path: path, reason: "it is a folder") }
        return readAll(file, atMost: limit)
    }

    /// Writes a file that must not exist yet, synced to disk before this returns.
    package static func create(_ path: String, _ bytes: [UInt8], mode: UInt32) throws(Problem) {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard file >= 0 else { throw problem(path) }
        defer { close(file) }
        guard write(bytes, to: file), fsync(file) == 0 else { throw problem(path) }
    }

    /// Makes the names in a file's folder outlive a power failure, as far as the file system can.
    static func syncFolder(of path: String) {
        let file = open(folder(of: path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard file >= 0 else { return }
        fsync(file)
        close(file)
    }

    /// Writes a file, in place of one that is there.
    package static func replace(_ path: String, _ bytes: [UInt8]) throws(Problem) {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw problem(path) }
        defer { close(file) }
        guard write(bytes, to: file) else { throw problem(path) }
    }

    /// Makes a folder, and those above it with the usual rights; one that exists is left as it is.
    package static func makeFolder(_ path: String, mode: UInt32) throws(Problem) {
        if isFolder(path) { return }
        let parent = folder(of: path)
        if parent != path, !isFolder(parent) { try makeFolder(parent, mode: 0o755) }
        guard mkdir(path, mode) == 0 || errno == EEXIST else { throw problem(path) }
    }

    /// A new empty folder under the system's folder for temporary files.
    package static func makeTemporaryFolder(_ prefix: String) throws(Problem) -> String {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(base)/\(prefix)-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw problem(base) }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Deletes a folder of files and folders; what cannot be deleted stays.
    package static func removeFolder(_ path: String) {
        for name in (try? names(in: path)) ?? [] {
            let inner = "\(path)/\(name)"
            if isFolder(inner) { removeFolder(inner) } else { unlink(inner) }
        }
        rmdir(path)
    }

    /// Why nothing can be created in a folder; nil if it can.
    static func obstacle(toWritingIn folder: String) -> Problem? {
        guard access(folder, F_OK) == 0 else {
            return Problem(path: folder, reason: "the folder does not exist")
        }
        guard isFolder(folder) else { return Problem(path: folder, reason: "it is a file and no folder") }
        return access(folder, W_OK | X_OK) == 0 ? nil : problem(folder)
    }

    package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    package static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Names in a folder, sorted as bytes, without `.` and `..`.
    package static func names(in path: String) throws(Problem) -> [String] {
        guard let folder = opendir(path) else { throw problem(path) }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// What stands before the last slash; `.` without one.
    package static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// Writes all of it; false where the reader is gone or the disk is full.
    @discardableResult
    static func write(_ bytes: [UInt8], to file: Int32) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { part in
                part.baseAddress.map { Glibc.write(file, $0, part.count) } ?? 0
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    static func readAll(_ file: Int32, atMost limit: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count < limit {
            let wanted = min(buffer.count, limit - bytes.count)
            let count = buffer.withUnsafeMutableBytes { space in
                space.baseAddress.map { Glibc.read(file, $0, wanted) } ?? 0
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            bytes.append(contentsOf: buffer.prefix(count))
        }
        return bytes
    }
}
