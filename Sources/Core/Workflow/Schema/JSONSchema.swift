package import Values

/// A JSON Schema (2020-12), compiled.
///
/// `$ref` reaches the same document only; `format` is an annotation. Not supported, and refused:
/// `$dynamicRef`, `$vocabulary`, an inner `$id`, and patterns with look-around or back-references.
package struct JSONSchema: Sendable {
    /// The schema as it was written.
    package let source: Value
    let nodes: [SchemaTableEntry]
    private let faults: [SchemaFaults.Fault]

    /// A schema known to be good; one that is not fits no value at all.
    package init(source: Value) {
        var compiler = SchemaCompiler(source: source)
        compiler.run()
        (self.source, nodes, faults) = (source, compiler.nodes.map { SchemaTableEntry($0) }, compiler.faults)
    }

    /// The schema ready for use, or everything that is wrong with it.
    package static func compile(_ source: Value) -> Result<JSONSchema, SchemaFaults> {
        let schema = JSONSchema(source: source)
        return schema.faults.isEmpty ? .success(schema) : .failure(SchemaFaults(list: schema.faults))
    }

    /// What in `value` does not fit; empty where all does.
    ///
    /// At most 20 violations are named. The work is bounded: a value that needs more counts as unfit.
    package func validate(_ value: Value) -> [SchemaViolation] { validate(value, workMax: SchemaRun.workMax) }

    func validate(_ value: Value, workMax: Int) -> [SchemaViolation] {
        guard faults.isEmpty else {
            return [SchemaViolation(path: "", message: "the schema itself cannot be used")]
        }
        var run = SchemaRun(nodes: nodes, workMax: workMax)
        return run.violations(of: value)
    }
}

/// A part of a value that does not fit its schema.
package struct SchemaViolation: Sendable, Hashable {
    /// A JSON pointer into the value; empty for the whole.
    package var path: String
    /// What is wrong, as a clause without the value itself.
    package var message: String
}

/// Why a schema cannot be used; at least one.
package struct SchemaFaults: Error, Sendable, Hashable {
    package struct Fault: Sendable, Hashable {
        /// Names and positions from the root of the schema.
        package var path: [String]
        package var message: String
        package var hint: String?
    }

    package var list: [Fault]
}
