package import Values

/// A compiled JSON Schema (2020-12).
///
/// `$ref` reaches the same document only; `format` is an annotation. Not supported, and refused:
/// `$dynamicRef`, `$vocabulary`, an inner `$id`, and patterns with look-around or back-references.
package struct JSONSchema: Sendable {
    /// The schema as written.
    package let source: Value
    let nodes: [SchemaTableEntry]
    private let faults: [SchemaFaults.Fault]

    /// Compiles a schema that is known to be valid; an invalid one accepts no value.
    package init(source: Value) {
        var compiler = SchemaCompiler(source: source)
        compiler.run()
        (self.source, nodes, faults) = (source, compiler.nodes.map { SchemaTableEntry($0) }, compiler.faults)
    }

    /// Compiles a schema, or returns all of its faults.
    package static func compile(_ source: Value) -> Result<JSONSchema, SchemaFaults> {
        let schema = JSONSchema(source: source)
        return schema.faults.isEmpty ? .success(schema) : .failure(SchemaFaults(list: schema.faults))
    }

    /// The violations of a value; empty if it is valid.
    ///
    /// At most 20 are reported. The work is bounded; a value that needs more is invalid.
    package func validate(_ value: Value) -> [SchemaViolation] { validate(value, workMax: SchemaRun.workMax) }

    func validate(_ value: Value, workMax: Int) -> [SchemaViolation] {
        guard faults.isEmpty else {
            return [SchemaViolation(path: "", message: "the schema itself cannot be used")]
        }
        var run = SchemaRun(nodes: nodes, workMax: workMax)
        return run.violations(of: value)
    }
}

/// A part of a value that violates its schema.
package struct SchemaViolation: Sendable, Hashable {
    /// A JSON pointer into the value; empty for the whole value.
    package var path: String
    /// The violation as a clause, without the value itself.
    package var message: String
}

/// Why a schema cannot be used; at least one fault.
package struct SchemaFaults: Error, Sendable, Hashable {
    package struct Fault: Sendable, Hashable {
        /// Names and indexes from the root of the schema.
        package var path: [String]
        package var message: String
        package var hint: String?
    }

    package var list: [Fault]
}
