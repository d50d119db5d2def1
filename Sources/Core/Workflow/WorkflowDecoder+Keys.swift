import Ports
import Values

// What `validate` says about keys: `dedupe` of a trigger and `concurrency.key`.

extension WorkflowDecoder {
    /// Warns about members of the trigger of which a key is made, and without which a request is refused.
    ///
    /// A member is there if the schema requires it. If the trigger's guard reads it, its author has thought of it.
    ///
    /// - Parameters:
    ///   - key: The key.
    ///   - uses: Its expressions.
    ///   - code: The code of the refusal.
    ///   - triggers: The triggers that compute the key.
    mutating func noteMissingParts(
        of key: Template, _ uses: ArraySlice<Use>, refusedWith code: String, by triggers: [Trigger]
    ) {
        guard checksNames else { return }
        for use in uses {
            let composition = use.expression.composition
            if use.reads.contains(where: Self.isTime) {
                note(
                    .keyNeverRepeats, at: use.mark,
                    "the key contains `time.now()`, so no other request ever has the same key",
                    hint: "make it of members of `trigger`, such as << trigger.body.id >>")
            }
            switch composition.rule {
            // A key that is a single path, and null, is none.
            case .isPath: guard case .text = key else { continue }
            case .usesAll: break
            case .mayChoose: continue
            }
            for path in composition.paths {
                guard let trigger = triggers.first(where: { !Self.guarantees(path, $0) }) else { continue }
                let name = Self.source(of: path)
                let isInBody = path[1] == "body"
                note(
                    .keyPartMayBeMissing, at: use.mark,
                    "`\(name)` may be missing, and then the \(trigger.kind.name) request is refused with `\(code)`",
                    hint: isInBody
                        ? "name it under `required` of the trigger's schema"
                        : "write `\(name) or …` with another member, or check it in the trigger's `when`")
            }
        }
    }

    private static func isTime(_ read: NameRead) -> Bool {
        read.root.name == "time" && read.members.first?.name == "now"
    }

    /// Whether a member of the trigger is there in each request that the trigger takes.
    private static func guarantees(_ path: [String], _ trigger: Trigger) -> Bool {
        guard path.count > 2, path[0] == "trigger" else { return true }
        if trigger.guardExpression?.composition.paths.contains(path) == true { return true }
        switch path[1] {
        case "body": return requires(path.dropFirst(2), trigger.schema?.source)
        case "headers", "query": return false
        default: return true
        }
    }

    private static func requires(_ path: ArraySlice<String>, _ schema: Value?) -> Bool {
        guard let name = path.first else { return true }
        guard let required = schema?["required"]?.array, required.contains(.string(name)) else {
            return false
        }
        return requires(path.dropFirst(), schema?["properties"]?[name])
    }

    /// A path as its author writes it.
    private static func source(of path: [String]) -> String {
        path.dropFirst().reduce(path[0]) { text, name in
            Naming.isLuaName(name) ? "\(text).\(name)" : "\(text)['\(name)']"
        }
    }
}
