import Workflow

/// Rewrites libyaml's messages for authors and adds a hint.
enum SyntaxAdvice {
    static func explain(_ problem: Problem, in source: SourceText) -> Problem {
        guard problem.code == ProblemCode.syntax.rawValue else { return problem }
        let line = source.line(problem.mark.line)
        if let column = tabInIndentation(line) {
            let mark = Mark(line: problem.mark.line, column: column)
            return Problem(.tab, at: mark, "a tab cannot indent", hint: "indent with spaces")
        }
        var explained = problem
        explained.hint = hint(for: problem.message, line: line)
        return explained
    }

    private static func tabInIndentation(_ line: String) -> Int? {
        let blank = line.unicodeScalars.prefix { $0 == " " || $0 == "\t" || $0 == "-" }
        return blank.enumerated().first { $0.element == "\t" }.map { $0.offset + 1 }
    }

    private static func hint(for message: String, line: String) -> String? {
        if line.utf8.contains(UInt8(ascii: "{")) && line.split(separator: "{{", maxSplits: 1).count > 1 {
            return "put a value with {{ }} in quotes, or write << >>"
        }
        if line.split(separator: "<<", maxSplits: 1, omittingEmptySubsequences: false).count > 1 {
            return "put a value with << >> in quotes, or use block style (a | and the text on the next lines)"
        }
        switch message {
        case "mapping values are not allowed in this context":
            return "a text with a colon and a space in it must be in quotes; else check the indentation"
        case "found character that cannot start any token":
            return "a value that starts with %, @ or ` must be in quotes"
        case "could not find expected ':'", "did not find expected key":
            return "check the indentation, and that every name has a colon and a space after it"
        case "did not find expected alphabetic or numeric character":
            return "a value that starts with * or & must be in quotes, such as '*/5 * * * *'"
        case "found unexpected end of stream":
            return "a quote is not closed"
        default: return nil
        }
    }
}
