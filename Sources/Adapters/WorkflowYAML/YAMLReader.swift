package import Workflow

/// Why a text gave no document, or a doubtful one.
package struct DocumentProblems: Error, Sendable, Hashable {
    /// In the order of the file; at least one.
    package var problems: [Problem]
    /// The document as far as it makes sense, so that further problems can be found in it.
    package var partial: Node?
}

/// What a document may measure; past any of these it is refused.
package enum DocumentLimits {
    package static let byteCount = 256 << 10
    /// Lists and maps inside one another.
    package static let depth = 32
    /// Scalars, lists, maps and names, aliases counted as what they stand for.
    package static let nodeCount = 10_000
    package static let scalarByteCount = 64 << 10
    package static let aliasCount = 100
}

/// Reads one YAML 1.2 document into nodes with their places, within ``DocumentLimits``.
package enum YAMLReader {
    /// The document, or every problem found in it.
    ///
    /// Takes time in proportion to the text.
    package static func read(_ bytes: [UInt8]) -> Result<Node, DocumentProblems> {
        let source: SourceText
        do throws(YAMLFault) { source = try SourceText(bytes) } catch {
            return .failure(DocumentProblems(problems: [error.problem]))
        }
        return source.bytes.withUnsafeBufferPointer { buffer in
            var builder = NodeBuilder(events: YAMLEvents(bytes: buffer), source: source)
            var document: Node?
            do throws(YAMLFault) { document = try builder.document() } catch {
                builder.problems.append(SyntaxAdvice.explain(error.problem, in: source))
            }
            if let document, builder.problems.isEmpty { return .success(document) }
            return .failure(DocumentProblems(problems: builder.problems.inFileOrder, partial: document))
        }
    }
}
