import Glibc

/// Finds test files, and notices that something beside them has changed.
enum TestFiles {
    /// A link that leads back to a folder above it ends here.
    private static let depthMax = 32

    /// Every test file that the paths stand for, in order, each once.
    static func found(under paths: [String]) throws(CommandFailure) -> [String] {
        let found = paths.flatMap { path in
            Files.isFolder(path) ? files(in: path, depth: 0).filter(isTest) : [path]
        }
        guard !found.isEmpty else {
            throw CommandFailure(
                .usage, "no_files", "there is no *.test.yaml", place: paths.joined(separator: ", "),
                hint: "write one beside the workflow: see docs/testing-workflows.md")
        }
        var seen: Set<String> = []
        return found.filter { seen.insert($0).inserted }
    }

    /// Changes when any document under the paths, or beside a named file, does.
    static func stamps(under paths: [String]) -> [String] {
        let folders = paths.map { Files.isFolder($0) ? $0 : Files.folder(of: $0) }
        return folders.flatMap { files(in: $0, depth: 0) }.filter { path in
            [".yaml", ".yml", ".json"].contains { path.hasSuffix($0) }
        }.compactMap { stamp(of: $0) }
    }

    /// Changes when the file does; nil where there is none.
    static func stamp(of path: String) -> String? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return "\(path) \(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec) \(status.st_size)"
    }

    private static func isTest(_ path: String) -> Bool {
        path.hasSuffix(".test.yaml") || path.hasSuffix(".test.yml")
    }

    private static func files(in folder: String, depth: Int) -> [String] {
        guard depth < depthMax else { return [] }
        let names = ((try? Files.names(in: folder)) ?? []).filter { !$0.hasPrefix(".") }
        return names.flatMap { name -> [String] in
            let path = folder == "." ? name : folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)"
            return Files.isFolder(path) ? files(in: path, depth: depth + 1) : [path]
        }
    }
}
