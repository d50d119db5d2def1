/// Edits of a source by token; lines stay where they are, so that an error reports the author's line.
struct SourceEdits {
    private var opened: [Int: String] = [:]
    private var replaced: [Int: String] = [:]
    private var closed: [Int: String] = [:]
    private var functions: Set<String> = []

    /// Declares the functions that the edits call as locals, because each access to a global calls the host.
    var prelude: String {
        guard !functions.isEmpty else { return "" }
        let names = functions.sorted().joined(separator: ", ")
        return "local \(names) = \(names) "
    }

    mutating func use(_ function: String) { functions.insert(function) }

    var isEmpty: Bool { opened.isEmpty && replaced.isEmpty && closed.isEmpty }

    /// Inserts `text` before a token, and before earlier insertions there.
    mutating func open(_ token: Int, with text: String) { opened[token] = text + (opened[token] ?? "") }

    /// Inserts `text` after a token, and after earlier insertions there.
    mutating func close(_ token: Int, with text: String) { closed[token, default: ""] += text }

    /// Replaces a token by `text`.
    mutating func replace(_ token: Int, by text: String) { replaced[token] = text }

    /// These edits plus the replacements of `other`; if both replace a token, this one's replacement is kept.
    func merged(with other: [Int: String]) -> SourceEdits {
        var all = self
        for (token, text) in other where all.replaced[token] == nil { all.replaced[token] = text }
        return all
    }

    func applied(to source: String, _ tokens: [SourceToken]) -> String {
        let bytes = Array(source.utf8)
        var out: [UInt8] = []
        var copied = 0
        let touched = Set(opened.keys).union(replaced.keys).union(closed.keys)
        for index in touched.sorted() {
            let range = tokens[index].range
            out.append(contentsOf: bytes[copied..<range.lowerBound])
            out.append(contentsOf: (opened[index] ?? "").utf8)
            if let text = replaced[index] {
                out.append(contentsOf: text.utf8)
            } else {
                out.append(contentsOf: bytes[range])
            }
            out.append(contentsOf: (closed[index] ?? "").utf8)
            copied = range.upperBound
        }
        out.append(contentsOf: bytes[copied...])
        return String(decoding: out, as: UTF8.self)
    }
}
