import Values
import Workflow

/// The paths that a workflow's steps have once its groups and strategies are at work.
struct StepPaths {
    let root: StepScope

    /// The step that a path stands for; nil where the workflow has none there.
    ///
    /// `turns/3/charge` is a step in the third item of `turns`, `turns/*/charge` that of any; the last word
    /// may be `compensate`.
    func step(at path: String) -> Step? {
        var parts = path.split(separator: "/", omittingEmptySubsequences: false)[...]
        var scope = root
        while let id = parts.popFirst() {
            guard let index = scope.index(of: String(id)) else { return nil }
            let step = scope.steps[index]
            if step.strategy != nil, let item = parts.first {
                guard Self.isItem(item) else { return nil }
                parts = parts.dropFirst()
            }
            guard let next = parts.first else { return step }
            if next == "compensate" { return step.compensation != nil && parts.count == 1 ? step : nil }
            guard case .group(let group) = step.action else { return nil }
            scope = group.scope
        }
        return nil
    }

    /// Every path there is, with `*` for items.
    var all: [String] { paths(in: root, below: "") }

    private func paths(in scope: StepScope, below prefix: String) -> [String] {
        scope.steps.flatMap { step -> [String] in
            let own = prefix + step.id
            let item = own + (step.strategy == nil ? "" : "/*")
            var found = step.strategy == nil ? [own] : [own, item]
            if step.compensation != nil { found.append(item + "/compensate") }
            if case .group(let group) = step.action { found += paths(in: group.scope, below: item + "/") }
            return found
        }
    }

    /// Whether a path that may hold `*` for items stands for that of a step.
    static func matches(_ pattern: String, _ path: String) -> Bool {
        guard pattern.utf8.contains(UInt8(ascii: "*")) else { return pattern.hasSameBytes(as: path) }
        let (wanted, parts) = (pattern.split(separator: "/"), path.split(separator: "/"))
        return wanted.count == parts.count
            && zip(wanted, parts).allSatisfy { $0 == $1 || $0 == "*" && isItem($1) }
    }

    /// The path without the numbers of items: where the file says it.
    static func place(of path: String) -> String {
        guard path.utf8.contains(UInt8(ascii: "/")) else { return path }
        return path.split(separator: "/").filter { !isItem($0) }.joined(separator: "/")
    }

    static func isItem(_ part: Substring) -> Bool {
        part == "*" || !part.isEmpty && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
    }
}
