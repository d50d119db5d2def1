import Testing
import Values
import Workflow

@Suite("Steps at the end in files")
struct FinallyReadingTests {
    private static func file(_ rest: String) -> String {
        """
        name: a
        version: 1
        triggers: [{type: http}]
        steps:
          one: {lua: 'return 1'}
          two: {after: one, steps: {inner: {lua: 'return 2'}}}
        \(rest)
        """
    }

    @Test(
        "each fault of `finally` has its code and place",
        arguments: [
            ("finally: 3", ["MR1103 7:10"]),
            ("finally: []", ["MR1112 7:10"]),
            ("finally: {tell: {fail: no}}", ["MR1209 7:18"]),
            ("finally: [{finish: 1}]", ["MR1209 7:12"]),
            ("finally: [{steps: [{fail: no}]}]", ["MR1209 7:21"]),
            (
                "finally: [{request: {url: 'https://x'}, compensate: {request: {url: 'https://x'}}}]",
                ["MR1209 7:41"]
            ),
            ("finally: {one: {lua: 'return 1'}}", ["MR1210 7:11"]),
            ("finally: {tell: {lua: 'return steps.one.output'}}", []),
            ("finally: {tell: {lua: 'return steps.inner.output'}}", ["MR1203 7:24"]),
            ("finally: {tell: {lua: 'return run.outcome'}}", []),
            ("finally: [{steps: [{lua: 'return run.error.step'}]}]", []),
            ("finally: {tell: {lua: 'return run.error.stepp'}}", ["MR1308 7:"]),
            ("finally: {tell: {lua: 'return run.outcome.x'}}", ["MR1308 7:"]),
            ("finally: {tell: {lua: '1'}, more: {after: tell, lua: 'return steps.tell.output'}}", []),
            ("finally: {tell: {lua: '1'}, more: {lua: 'return steps.tell.output'}}", ["MR1205 7:"]),
            ("finally: {tell: {after: one, lua: '1'}}", ["MR1203 7:25"]),
            ("finally: {tell: {lua: '1'}}\noutput: << steps.tell.output >>", ["MR1203 8:12"]),
            ("finally: {tell: {lua: '1'}}\noutput: << steps.finally.output >>", ["MR1203 8:12"]),
            ("output: << run.outcome >>", ["MR1308 7:"]),
            ("finaly: {tell: {lua: '1'}}", ["MR1101 7:1"]),
        ])
    func faults(rest: String, expected: [String]) {
        let marks = Reading.marks(Self.file(rest))
        #expect(marks.count == expected.count, "\(marks)")
        for (mark, wanted) in zip(marks, expected) {
            #expect(mark.hasPrefix(wanted), "\(mark) is not \(wanted)")
        }
    }

    @Test("no other step is called `finally` in a file that has such steps; in any other file one may be")
    func nameIsTaken() {
        let step = "finally: {lua: 'return 1'}"
        let marks = Reading.marks(
            Self.file("finally: {tell: {lua: '1'}}").replacing("one:", with: step + "\n  one:"))
        #expect(marks.map { $0.prefix(10) } == ["MR1107 5:3"])
        #expect(Reading.marks(Self.file("output: 1").replacing("one:", with: step + "\n  one:")).isEmpty)
    }

    @Test("hints say where the end is known, and that a step comes after all others")
    func hints() {
        let outside = Reading.workflow(Self.file("output: << run.outcome >>")).problems.first
        #expect(outside?.hint == "how the run has ended is known in its `finally` steps")
        let late = Reading.workflow(
            Self.file("finally: {tell: {lua: '1'}}\noutput: << steps.tell.output >>")
        ).problems.first
        #expect(late?.hint == "it is one of the `finally` steps, which come after all others")
    }
}
