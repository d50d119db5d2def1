package import Values

/// The origin of a run that was made from another one.
package struct RunOrigin: Sendable, Hashable {
    package enum Kind: String, Sendable {
        /// Continues where a run failed or was cancelled.
        case retry
        /// Continues from a step that a person chose.
        case fork
    }

    /// The run whose outcomes were copied.
    package var run: RunID
    package var kind: Kind
    /// The top-level step from which everything is repeated; nil if the original run names none.
    package var step: String?

    package init(run: RunID, kind: Kind, step: String?) {
        self.run = run
        self.kind = kind
        self.step = step
    }

    package var value: Value {
        [
            "run": .string("\(run)"), "kind": .string(kind.rawValue),
            "step": step.map { .string($0) } ?? .null,
        ]
    }

    /// Reads ``value``; nil for anything else.
    init?(_ value: Value) {
        guard let run = value["run"]?.string.flatMap({ RunID($0) }),
            let kind = value["kind"]?.string.flatMap({ Kind(rawValue: $0) })
        else { return nil }
        self.init(run: run, kind: kind, step: value["step"]?.string)
    }
}
