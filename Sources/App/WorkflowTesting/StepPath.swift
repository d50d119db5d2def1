import Values
import Workflow

/// Names of steps as tests write them: a path whose numbers of items may be left out, for all items.
enum StepPath {
    /// The path without the numbers of items: `each/charge` for `each/3/charge`.
    static func plain(_ path: String) -> String {
        guard path.utf8.contains(UInt8(ascii: "/")) else { return path }
        return path.split(separator: "/").filter { !isNumber($0) }.joined(separator: "/")
    }

    /// Whether `name` means the step at `path`: itself, or any of its items.
    static func matches(_ name: String, _ path: String) -> Bool {
        name.hasSameBytes(as: path) || (plain(name) == name && name.hasSameBytes(as: plain(path)))
    }

    /// Whether the scope has a step of that path, with numbers only where there are items.
    static func exists(_ path: String, in scope: StepScope) -> Bool {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        return exists(parts[...], in: scope)
    }

    private static func exists(_ parts: ArraySlice<Substring>, in scope: StepScope) -> Bool {
        guard let id = parts.first, let index = scope.index(of: String(id)) else { return false }
        let step = scope.steps[index]
        var rest = parts.dropFirst()
        if let part = rest.first, isNumber(part) {
            guard step.strategy != nil, Int(part).map({ $0 > 0 }) ?? false else { return false }
            rest = rest.dropFirst()
        }
        guard let next = rest.first else { return true }
        if next == "compensate" { return rest.count == 1 && step.compensation != nil }
        guard case .group(let group) = step.action else { return false }
        return exists(rest, in: group.scope)
    }

    /// Every step of the scope and below, by its path without numbers.
    static func all(in scope: StepScope, below prefix: String = "") -> [(path: String, step: Step)] {
        scope.steps.flatMap { step -> [(path: String, step: Step)] in
            let own = (prefix + step.id, step)
            guard case .group(let group) = step.action else { return [own] }
            return [own] + all(in: group.scope, below: own.0 + "/")
        }
    }

    private static func isNumber(_ part: Substring) -> Bool {
        !part.isEmpty && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
    }
}
