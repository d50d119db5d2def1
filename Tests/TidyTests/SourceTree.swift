import Foundation

/// The repository's own files, as text.
struct SourceTree {
    /// Path from the repository's folder, and text.
    struct File: Hashable {
        let path: String
        let text: String
        let lines: [String]

        init(path: String, text: String) {
            self.path = path
            self.text = text
            lines = text.components(separatedBy: "\n")
        }

        /// Positions of the lines that hold `word`.
        func lineIndices(holding word: String) -> [Int] {
            guard text.contains(word) else { return [] }
            return lines.indices.filter { lines[$0].contains(word) }
        }
    }

    var files: [File]

    /// What the repository holds and nobody built; read once.
    static let repository = Result { try read() }

    private static func read() throws -> SourceTree {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let kept = ["swift", "c", "h", "md", "yaml", "py", "json", "lua", "conf", "txt", "modulemap"]
        var files: [File] = []
        for top in try FileManager.default.contentsOfDirectory(atPath: root.path) where !top.hasPrefix(".") {
            let start = root.appending(path: top)
            if ["Makefile", "Package.swift"].contains(top) || top.hasSuffix(".md") {
                files.append(File(path: top, text: try String(contentsOf: start, encoding: .utf8)))
            }
            guard let walk = FileManager.default.enumerator(atPath: start.path) else { continue }
            for case let inner as String in walk where kept.contains(URL(filePath: inner).pathExtension) {
                let text = try String(contentsOf: start.appending(path: inner), encoding: .utf8)
                files.append(File(path: "\(top)/\(inner)", text: text))
            }
        }
        return SourceTree(files: files.sorted { $0.path < $1.path })
    }

    func files(under folders: String..., ending suffix: String = ".swift") -> [File] {
        files.filter { file in file.path.hasSuffix(suffix) && folders.contains { file.path.hasPrefix($0) } }
    }

    func has(_ path: String) -> Bool {
        files.contains { $0.path == path || $0.path.hasPrefix(path.hasSuffix("/") ? path : path + "/") }
    }
}
