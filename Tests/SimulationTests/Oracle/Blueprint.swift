import Values
import Workflow
import WorkflowYAML

/// A workflow's source as the oracle reads it: which steps must have ended before one may be sent.
///
/// Read from the file itself, so that a mistake in the engine's own plan is seen.
struct Blueprint: Sendable {
    private let steps: Value
    /// What comes once all of them are over; null for nothing.
    private let finally: Value
    /// Runs with one key that may go at once; nil for any number.
    let limit: Int?

    private final class Cache: @unchecked Sendable {
        // Unchecked: `known` is read and written under `lock`.
        let lock = Lock()
        var known: [[UInt8]: Blueprint] = [:]
    }

    private static let cache = Cache()

    /// Each text is read once for all simulations.
    static func reading(_ source: [UInt8]) -> Blueprint {
        if let known = cache.lock.withLock({ cache.known[source] }) { return known }
        let blueprint = Blueprint(source: source)
        cache.lock.withLock { cache.known[source] = blueprint }
        return blueprint
    }

    private init(source: [UInt8]) {
        guard case .success(let document) = DocumentReader.read(source) else {
            (steps, finally, limit) = (.null, .null, nil)
            return
        }
        steps = document.value["steps"] ?? .null
        finally = document.value["finally"] ?? .null
        limit = document.value["concurrency"].map { $0["limit"]?.int.map { Int($0) } ?? 1 }
    }

    /// A step of the file's own scope.
    struct OwnStep {
        var id: String
        /// The steps that it comes after.
        var after: [String]
        var step: Value

        /// Whether the run goes on after it has failed.
        var isTolerated: Bool { step["on_error"]?.string == "continue" }
        /// Whether its success ends the run.
        var isFinish: Bool { step["finish"] != nil }
    }

    /// In the order of the file.
    var ownSteps: [OwnStep] {
        let ids = steps.object.map { $0.members.map(\.name) } ?? steps.array.map(Self.ids) ?? []
        return ids.compactMap { id in
            Self.find(id, in: steps).map { OwnStep(id: id, after: $0.after, step: $0.step) }
        }
    }

    /// Paths of the steps that come at the end.
    var finallyPaths: [String] {
        (finally.object?.members.map(\.name) ?? finally.array.map(Self.ids) ?? []).map { "finally/" + $0 }
    }

    /// Those steps of the file's own scope, and all that come after one of them, directly or not.
    func withAllBehind(_ ids: Set<String>) -> Set<String> {
        let own = ownSteps
        var all = ids
        while let next = own.first(where: { !all.contains($0.id) && $0.after.contains(where: all.contains) })
        {
            all.insert(next.id)
        }
        return all
    }

    private static func ids(_ list: [Value]) -> [String] {
        list.enumerated().map { position, step in step["id"]?.string ?? "step_\(position + 1)" }
    }

    /// A step's place in the file.
    struct Place {
        /// Paths whose outcome must be recorded before it may be sent.
        var needs: [String] = []
        /// Groups and strategies around it, outermost first, itself among them where it has items.
        var around: [String] = []
        var step = Value.null
        /// Whether the path names the step as such, and not an item of it.
        var isWhole = true
    }

    /// Where a path stands; nil where the file has no such step.
    func place(of path: String) -> Place? {
        var segments = path.split(separator: "/").map(String.init)
        guard segments.last == "compensate" else { return walk(segments) }
        segments.removeLast()
        guard var place = walk(segments) else { return nil }
        place.needs = [segments.joined(separator: "/")]
        return place
    }

    /// Whether what is recorded under `path` has a request that undoes it.
    func canUndo(_ path: String) -> Bool {
        guard let place = place(of: path), place.step["compensate"] != nil else { return false }
        return place.step["strategy"] == nil || !place.isWhole
    }

    /// Walks down groups (`charge/inner`) and items of strategies (`notify/3`).
    private func walk(_ segments: [String]) -> Place? {
        var (scope, prefix, place) = (steps, "", Place())
        if segments.first == "finally", !finally.isNull { scope = ["finally": ["steps": finally]] }
        var index = 0
        while index < segments.count {
            guard let (step, after) = Self.find(segments[index], in: scope) else { return nil }
            place.needs += after.map { prefix + $0 }
            prefix += segments[index]
            (place.step, place.isWhole) = (step, true)
            index += 1
            let isItem = step["strategy"] != nil && index < segments.count && Int(segments[index]) != nil
            if isItem || index < segments.count { place.around.append(prefix) }
            if isItem {
                prefix += "/" + segments[index]
                place.isWhole = false
                index += 1
            }
            prefix += "/"
            scope = step["steps"] ?? .null
        }
        return place
    }

    private static func find(_ id: String, in scope: Value) -> (step: Value, after: [String])? {
        if let object = scope.object {
            guard let step = object[id] else { return nil }
            if let one = step["after"]?.string { return (step, [one]) }
            return (step, step["after"]?.array?.compactMap(\.string) ?? [])
        }
        let list = scope.array ?? []
        var before: [String] = []
        for (own, step) in zip(ids(list), list) {
            if own == id { return (step, before) }
            before = [own]
        }
        return nil
    }
}
