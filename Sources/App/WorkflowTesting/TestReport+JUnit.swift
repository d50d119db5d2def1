import Workflow

extension TestReport {
    /// The report as JUnit's XML, a suite for each file.
    package var junit: String {
        let suites = files.map { file in
            let cases = file.results.map { Self.element($0, in: file) } + Self.brokenFile(file)
            return """
                  <testsuite name="\(Self.escaped(file.path))" tests="\(cases.count)" \
                failures="\(file.failedCount)">
                \(cases.joined(separator: "\n"))
                  </testsuite>
                """
        }
        return """
            <?xml version="1.0" encoding="UTF-8"?>
            <testsuites tests="\(passedCount + failedCount)" failures="\(failedCount)">
            \(suites.joined(separator: "\n"))
            </testsuites>

            """
    }

    private static func element(_ result: CaseResult, in file: FileResult) -> String {
        let head = "    <testcase classname=\"\(escaped(file.path))\" name=\"\(escaped(result.name))\""
        guard !result.hasPassed else { return head + "/>" }
        let text = result.differences.map { difference in
            "\(file.path):\(difference.mark.line): \(difference.path)\n"
                + "expected: \(difference.expected ?? "nothing")\nactual:   \(difference.actual ?? "nothing")"
        }.joined(separator: "\n")
        let message = result.differences.first.map { "\($0.path) differs" } ?? ""
        return """
            \(head)>
                  <failure message="\(escaped(message))">\(escaped(text))</failure>
                </testcase>
            """
    }

    private static func brokenFile(_ file: FileResult) -> [String] {
        guard file.problems.hasErrors else { return [] }
        let text = ProblemReport(file: file.path, source: file.source, problems: file.problems).text
        return [
            "    <testcase classname=\"\(escaped(file.path))\" name=\"the file can be read\">"
                + "<failure message=\"problems in the file\">\(escaped(text))</failure></testcase>"
        ]
    }

    /// Also takes out the controls that XML cannot carry.
    private static func escaped(_ text: String) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            case "\n": out += "&#10;"
            case _
            where scalar.value < 0x20 && scalar != "\t" || scalar.value == 0xFFFE || scalar.value == 0xFFFF:
                out += "?"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }
}
