import Values
import Workflow
import WorkflowYAML

/// A workflow's source as the oracle reads it: which steps must have ended before one may be sent.
///
/// Read from the file itself, so that a mistake in the engine's own plan is seen.
struct Blueprint: Sendable {
    private let steps: Value

    init(source: [UInt8]) {
        guard case .success(let document) = DocumentReader.read(source) else {
            steps = .null
            return
        }
        steps = document.value["steps"] ?? .null
    }

    /// Paths whose outcome must be recorded before the step at `path` may be sent; nil where the file has no
    /// such step.
    func needs(of path: String) -> [String]? {
        var segments = path.split(separator: "/").map(String.init)
        if segments.last == "compensate" {
            segments.removeLast()
            return step(segments) == nil ? nil : [segments.joined(separator: "/")]
        }
        return step(segments)
    }

    /// Whether a step at `path` has a request that undoes it.
    func canUndo(_ path: String) -> Bool {
        var (scope, found) = (steps, Value.null)
        for segment in path.split(separator: "/").map(String.init) where Int(segment) == nil {
            guard let (step, _) = Self.find(segment, in: scope) else { return false }
            (scope, found) = (step["steps"] ?? .null, step)
        }
        return found["compensate"] != nil
    }

    /// Walks down groups (`charge/inner`) and items of strategies (`notify/3`).
    private func step(_ segments: [String]) -> [String]? {
        var (scope, prefix, needs) = (steps, "", [String]())
        var index = 0
        while index < segments.count {
            guard let (step, after) = Self.find(segments[index], in: scope) else { return nil }
            needs += after.map { prefix + $0 }
            prefix += segments[index] + "/"
            index += 1
            if step["strategy"] != nil, index < segments.count, Int(segments[index]) != nil {
                prefix += segments[index] + "/"
                index += 1
            }
            scope = step["steps"] ?? .null
        }
        return needs
    }

    private static func find(_ id: String, in scope: Value) -> (step: Value, after: [String])? {
        if let object = scope.object {
            guard let step = object[id] else { return nil }
            if let one = step["after"]?.string { return (step, [one]) }
            return (step, step["after"]?.array?.compactMap(\.string) ?? [])
        }
        var before: [String] = []
        for (position, step) in (scope.array ?? []).enumerated() {
            let own = step["id"]?.string ?? "step_\(position + 1)"
            if own == id { return (step, before) }
            before = [own]
        }
        return nil
    }
}
