package import Workflow

/// Why a text yields no document, or only a partial one.
package struct DocumentProblems: Error, Sendable, Hashable {
    /// In file order; at least one.
    package var problems: [Problem]
    /// The readable part of the document, so that further problems can be found in it.
    package var partial: Node?
}

/// The limits of a document; one that exceeds any of them is refused.
package enum DocumentLimits {
    package static let byteCount = 256 << 10
    /// Nesting of lists and maps.
    package static let depth = 32
    /// Scalars, lists, maps and names; an alias counts as its target.
    package static let nodeCount = 10_000
    package static let scalarByteCount = 64 << 10
    package static let aliasCount = 100
}

/// Parses one YAML 1.2 document into nodes with positions, within ``DocumentLimits``.
package enum YAMLReader {
    /// The document, or every problem found in it.
    ///
    /// Takes time linear in the length of the text.
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
