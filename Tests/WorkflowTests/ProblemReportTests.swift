import Testing
import Values
import Workflow

@Suite("Problem report")
struct ProblemReportTests {
    static let text = """
        name: demo
        version: 1
        triggers: [{type: manual}]
        steps:
          one:
            lua: 1
            retri: {}
          two:
            after: [oen]
            request: {url: https://x.y, idempotency_key: k, method: POST}
        """

    @Test("people see place, line, caret and hint")
    func textReport() {
        let report = ProblemReport(
            file: "demo.yaml", source: Array(Self.text.utf8), problems: Reading.workflow(Self.text).problems)
        #expect(
            report.text == """
                demo.yaml:7:5: error MR1101: a step has no key `retri`
                  7 |     retri: {}
                    |     ^
                    hint: did you mean `retry`?

                demo.yaml:9:13: error MR1203: no step is called `oen`
                  9 |     after: [oen]
                    |             ^
                    hint: did you mean `one`?

                demo.yaml:10:33: warning MR1902: this replaces the engine's key, which alone is sure to be the same on every attempt and for no other call
                  10 |     request: {url: https://x.y, idempotency_key: k, method: POST}
                     |                                 ^
                    hint: remove it unless the receiver asks for a key of its own

                """)
    }

    @Test("programs see the same as JSON")
    func jsonReport() {
        let report = ProblemReport(
            file: "demo.yaml", source: Array(Self.text.utf8), problems: Reading.workflow(Self.text).problems)
        #expect(
            report.value[1] == [
                "file": "demo.yaml", "line": 9, "column": 13, "severity": "error", "code": "MR1203",
                "message": "no step is called `oen`", "hint": "did you mean `one`?",
            ])
    }

    @Test("control characters of a file do not reach the terminal, and a long line is cut around the place")
    func hostileLines() {
        let source = Array(("a: \u{1B}[31m\u{202E}x\n" + String(repeating: "y", count: 100_000)).utf8)
        let problems = [
            Problem(code: "MR1003", mark: Mark(line: 1, column: 4), message: "bad\u{7}"),
            Problem(code: "MR1003", mark: Mark(line: 2, column: 50_000), message: "far"),
            Problem(code: "MR1003", mark: Mark(line: 99, column: 1), message: "past the end"),
        ]
        let text = ProblemReport(file: "f", source: source, problems: problems).text
        #expect(!text.unicodeScalars.contains { $0 == "\u{1B}" || $0 == "\u{202E}" || $0 == "\u{7}" })
        #expect(text.utf8.count < 1000)
    }
}
