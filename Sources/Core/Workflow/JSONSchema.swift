package import Values

/// A JSON Schema (2020-12), compiled.
package struct JSONSchema: Sendable {
    /// The schema as it was written.
    package let source: Value

    /// Stands until the validator does.
    package func validate(_ value: Value) -> [SchemaViolation] { [] }

    package init(source: Value) { self.source = source }
}

/// One place where a value does not fit its schema.
package struct SchemaViolation: Sendable, Hashable {
    /// JSON pointer into the value; empty for the whole.
    package var path: String
    package var message: String

    package init(path: String, message: String) {
        self.path = path
        self.message = message
    }

    /// Path and message in one line.
    package var text: String { path.isEmpty ? message : "\(path): \(message)" }
}
