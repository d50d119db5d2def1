import Values
package import Workflow

/// Reads a workflow file or a request body in either notation, JSON or YAML.
package enum DocumentReader {
    /// Parses a text: JSON if it begins with `{` or `[` and is valid JSON, otherwise YAML.
    ///
    /// Duplicate names are refused in both, and ``DocumentLimits`` apply to both.
    package static func read(_ bytes: [UInt8]) -> Result<Node, DocumentProblems> {
        let first = bytes.first { $0 != 0x20 && $0 != 0x09 && $0 != 0x0A && $0 != 0x0D }
        let looksLikeJSON = first == UInt8(ascii: "{") || first == UInt8(ascii: "[")
        guard looksLikeJSON, bytes.count <= DocumentLimits.byteCount, let value = try? JSON.parse(bytes)
        else {
            return YAMLReader.read(bytes)
        }
        var marker = JSONMarker(bytes: bytes)
        do throws(YAMLFault) { return .success(try marker.document(value)) } catch {
            return .failure(DocumentProblems(problems: [error.problem]))
        }
    }

    /// Reads and checks a workflow file; the definition is nil if any problem is an error.
    package static func workflow(
        _ bytes: [UInt8], with reader: WorkflowReader
    ) -> (definition: WorkflowDefinition?, problems: [Problem]) {
        switch read(bytes) {
        case .success(let document): return reader.read(document)
        case .failure(let failure):
            let further = failure.partial.map { reader.read($0).problems } ?? []
            return (nil, (failure.problems + further).inFileOrder)
        }
    }
}
