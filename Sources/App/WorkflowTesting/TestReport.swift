package import Values
import Workflow

/// What the cases of all files came to, as a person, a program or a build server reads it.
package struct TestReport: Sendable {
    package let files: [FileResult]

    package init(_ files: [FileResult]) { self.files = files }

    package var passedCount: Int { files.reduce(0) { $0 + $1.passedCount } }
    package var failedCount: Int { files.reduce(0) { $0 + $1.failedCount } }
    package var hasPassed: Bool { failedCount == 0 }

    /// One line a case, the differences under those that failed, and a line of numbers at the end.
    package func text(hasColour: Bool, showsCoverage: Bool) -> String {
        let paint = Paint(isOn: hasColour)
        var lines: [String] = []
        for file in files {
            lines.append(file.path)
            if !file.problems.isEmpty {
                lines.append(
                    ProblemReport(file: file.path, source: file.source, problems: file.problems).text)
            }
            for result in file.results { lines += Self.lines(result, in: file, paint) }
            if showsCoverage, let coverage = file.coverage { lines += Self.lines(coverage) }
        }
        lines.append("\(passedCount) passed, \(failedCount) failed")
        return lines.joined(separator: "\n")
    }

    private static func lines(_ result: CaseResult, in file: FileResult, _ paint: Paint) -> [String] {
        guard !result.hasPassed else { return ["  \(paint.green("ok"))    \(result.name)"] }
        var lines = ["  \(paint.red("FAIL"))  \(result.name)"]
        for difference in result.differences {
            let mark = difference.mark
            lines.append("        \(file.path):\(mark.line):\(mark.column): \(difference.path)")
            lines += part("expected", difference.expected) { paint.green($0) }
            lines += part("actual", difference.actual) { paint.red($0) }
            if let hint = difference.hint { lines.append("          hint:     \(hint)") }
        }
        return lines
    }

    private static func part(_ label: String, _ text: String?, _ paint: (String) -> String) -> [String] {
        let rows = (text ?? "nothing").split(separator: "\n", omittingEmptySubsequences: false)
        return rows.enumerated().map { index, row in
            let margin = index == 0 ? label + ":" : ""
            let blanks = String(repeating: " ", count: 10 - margin.count)
            return "          " + paint(margin + blanks + row)
        }
    }

    private static func lines(_ coverage: Coverage) -> [String] {
        var lines = ["  covered \(coverage.percent) % of \(coverage.points.count) steps and branches"]
        if !coverage.missing.isEmpty {
            lines.append("    never:   \(coverage.missing.joined(separator: ", "))")
        }
        if !coverage.skipped.isEmpty {
            lines.append("    skipped: \(coverage.skipped.joined(separator: ", "))")
        }
        if !coverage.retried.isEmpty {
            lines.append("    retried: \(coverage.retried.joined(separator: ", "))")
        }
        return lines
    }

    package var value: Value {
        [
            "passed": .int(Int64(passedCount)), "failed": .int(Int64(failedCount)),
            "files": .array(files.map { Self.value($0) }),
        ]
    }

    private static func value(_ file: FileResult) -> Value {
        let problems = ProblemReport(file: file.path, source: file.source, problems: file.problems)
        return [
            "file": .string(file.path), "workflow": file.workflowPath.map { .string($0) } ?? .null,
            "problems": problems.value,
            "cases": .array(
                file.results.map { result in
                    [
                        "name": .string(result.name), "line": .int(Int64(result.mark.line)),
                        "passed": .bool(result.hasPassed),
                        "differences": .array(result.differences.map { value($0) }),
                    ]
                }), "coverage": file.coverage?.value ?? .null,
        ]
    }

    private static func value(_ difference: Difference) -> Value {
        [
            "path": .string(difference.path), "line": .int(Int64(difference.mark.line)),
            "column": .int(Int64(difference.mark.column)),
            "expected": difference.expected.map { .string($0) } ?? .null,
            "actual": difference.actual.map { .string($0) } ?? .null,
            "hint": difference.hint.map { .string($0) } ?? .null,
        ]
    }
}

/// Colours of a terminal, or none.
private struct Paint {
    let isOn: Bool

    func green(_ text: String) -> String { isOn ? "\u{1B}[32m\(text)\u{1B}[0m" : text }
    func red(_ text: String) -> String { isOn ? "\u{1B}[31m\(text)\u{1B}[0m" : text }
}
