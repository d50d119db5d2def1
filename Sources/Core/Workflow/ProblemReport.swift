package import Values

/// Problems formatted for a terminal and for programs.
package struct ProblemReport: Sendable {
    private static let lineWidth = 160

    /// The file's name in messages.
    package let file: String
    package let problems: [Problem]
    private let lines: [[Unicode.Scalar]]

    package init(file: String, source: [UInt8], problems: [Problem]) {
        self.file = file
        self.problems = problems
        lines = Self.lines(of: source)
    }

    /// One block per problem: position, code and message, the line, a caret, the hint.
    package var text: String { problems.map { block($0) }.joined(separator: "\n") }

    /// A list of `{file, line, column, severity, code, message, hint}`.
    package var value: Value {
        .array(
            problems.map { problem in
                [
                    "file": .string(file), "line": .int(Int64(problem.mark.line)),
                    "column": .int(Int64(problem.mark.column)),
                    "severity": .string(problem.severity.rawValue),
                    "code": .string(problem.code), "message": .string(problem.message),
                    "hint": problem.hint.map { .string($0) } ?? .null,
                ]
            })
    }

    private func block(_ problem: Problem) -> String {
        let place = "\(file):\(problem.mark.line):\(problem.mark.column)"
        var text =
            "\(place): \(problem.severity.rawValue) \(problem.code): \(Self.printable(problem.message))\n"
        if let excerpt = excerpt(problem.mark) { text += excerpt }
        if let hint = problem.hint { text += "    hint: \(Self.printable(hint))\n" }
        return text
    }

    /// The line with a caret under the position; a long line is cut around it.
    private func excerpt(_ mark: Mark) -> String? {
        guard lines.indices.contains(mark.line - 1) else { return nil }
        let line = lines[mark.line - 1]
        let column = max(0, min(mark.column - 1, line.count))
        let start = column > Self.lineWidth * 3 / 4 ? column - Self.lineWidth / 2 : 0
        let shown = line[start...].prefix(Self.lineWidth)
        let number = String(mark.line)
        let margin = String(repeating: " ", count: number.utf8.count)
        let body = shown.map { Self.isPrintable($0) ? String($0) : " " }.joined()
        let indent = String(repeating: " ", count: column - start)
        return "  \(number) | \(body)\n  \(margin) | \(indent)^\n"
    }

    private static func lines(of source: [UInt8]) -> [[Unicode.Scalar]] {
        let body = source.starts(with: [0xEF, 0xBB, 0xBF]) ? source.dropFirst(3) : source[...]
        var lines: [[Unicode.Scalar]] = [[]]
        var wasReturn = false
        for scalar in String(decoding: body, as: UTF8.self).unicodeScalars {
            if scalar == "\n", wasReturn {
                wasReturn = false
                continue
            }
            wasReturn = scalar == "\r"
            if scalar == "\n" || wasReturn {
                lines.append([])
            } else {
                lines[lines.count - 1].append(scalar)
            }
        }
        return lines
    }

    /// Whether a scalar is safe on a terminal; control characters and direction marks become blanks.
    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: false
        default: true
        }
    }

    private static func printable(_ text: String) -> String {
        text.unicodeScalars.map { isPrintable($0) ? String($0) : " " }.joined()
    }
}
