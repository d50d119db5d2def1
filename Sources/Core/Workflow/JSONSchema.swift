package import Values

/// A JSON Schema (2020-12), compiled.
package struct JSONSchema: Sendable {
    /// The schema as it was written.
    package let source: Value

    package init(source: Value) { self.source = source }
}
