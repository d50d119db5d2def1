/// What `millrace test --watch` looks at: the documents under its paths, and the workflows that test files name,
/// wherever they are.
struct WatchedFiles {
    private let paths: [String]
    private var stamps: [String]?
    /// What the last run has read, with the stamp from before the reading: a change meanwhile is a change.
    private var loaded: [String: String?] = [:]

    init(_ paths: [String]) { self.paths = paths }

    /// Whether anything differs from the last look; the first look says yes.
    mutating func haveChanged() -> Bool {
        let now = TestFiles.stamps(under: paths)
        guard now != stamps || loaded.contains(where: { TestFiles.stamp(of: $0.key) != $0.value }) else {
            return false
        }
        stamps = now
        loaded = [:]
        return true
    }

    /// Reads a workflow that a test file names, and watches it from now on, also while it does not exist.
    mutating func load(_ path: String) -> [UInt8]? {
        loaded[path] = .some(TestFiles.stamp(of: path))
        return try? Files.read(path)
    }
}
