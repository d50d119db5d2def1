package import Values

/// A JSON Schema (2020-12), compiled.
package struct JSONSchema: Sendable {
    /// The schema as it was written.
    package let source: Value

    package init(source: Value) { self.source = source }

    package static func compile(_ source: Value) -> Result<JSONSchema, SchemaFaults> {
        .success(JSONSchema(source: source))
    }
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
