import Ports
import Values
import Workflow

/// Knows enough of expressions to tell which steps and secrets they name.
struct StubCompiler: ExpressionCompiler {
    func compile(_ source: String) throws(ExpressionProblem) -> any CompiledExpression {
        for (index, line) in source.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            if line.contains("!!!") {
                throw ExpressionProblem(line: index + 1, message: "unexpected symbol near '!'")
            }
        }
        return StubExpression(source: source)
    }
}

struct StubExpression: CompiledExpression {
    let source: String

    var secretNames: [String] { names(after: "secrets.") }
    var stepNames: [String] { names(after: "steps.") }

    func evaluate(in scope: any ExpressionScope) throws(ExpressionFailure) -> Value { .string("[\(source)]") }

    private func names(after prefix: String) -> [String] {
        source.split(separator: prefix, omittingEmptySubsequences: false).dropFirst().map { part in
            String(part.prefix { $0.isLetter || $0.isNumber || $0 == "_" })
        }
    }
}

/// Reads texts the way the product does.
enum Reading {
    static func workflow(_ text: String) -> (definition: WorkflowDefinition?, problems: [Problem]) {
        DocumentReaderDoor.workflow(Array(text.utf8))
    }

    static func codes(_ text: String) -> [String] { workflow(text).problems.map(\.code) }
}
