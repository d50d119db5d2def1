import Testing
import Values
import Workflow

@Suite("Groups and strategies in files")
struct GroupProblemTests {
    @Test(
        "each fault of a group or a strategy has its code and place",
        arguments: [
            ("steps: {}", ["MR1112 6:12"]),
            ("steps: 3", ["MR1103 6:12"]),
            ("steps: [{lua: '1'}]\nlua: '1'", ["MR1202 7:5"]),
            ("steps: [{lua: '1'}]\nretry: {max: 1}", ["MR1209 7:5"]),
            ("steps: [{lua: '1'}]\nresponse: {timeout: 1s}", ["MR1209 7:5"]),
            ("steps: [{lua: '1'}]\ncompensate: {request: {url: 'https://x'}}", ["MR1209 7:5"]),
            ("lua: '1'\noutput: 1", ["MR1209 7:5"]),
            ("steps:\n  compensate: {lua: '1'}", ["MR1107 7:7"]),
            ("steps:\n  one: {lua: '1'}", ["MR1210 7:7"]),
            ("steps:\n  - id: one\n    lua: '1'", ["MR1210 7:13"]),
            ("steps: [{lua: '1'}, {steps: [{lua: '1'}]}]", []),
            ("fail: x\nstrategy: {type: fan_out, over: 2}", ["MR1209 7:5"]),
            ("finish: x\nstrategy: {type: fan_out, over: 2}", ["MR1209 7:5"]),
            ("reply: {}\nstrategy: {type: fan_out, over: 2}", ["MR1904", "MR1209 7:5"]),
            ("lua: '1'\nstrategy: {}", ["MR1102 7:15", "MR1102 7:15"]),
            ("lua: '1'\nstrategy: {type: fan_uot, over: 2}", ["MR1108 7:22"]),
            ("lua: '1'\nstrategy: {type: fan_out, over: true}", ["MR1103 7:37"]),
            ("lua: '1'\nstrategy: {type: fan_out, over: 1.5}", ["MR1103 7:37"]),
            ("lua: '1'\nstrategy: {type: fan_out, over: 100001}", ["MR1109 7:37"]),
            ("lua: '1'\nstrategy: {type: fan_out, over: (}", ["MR1303 7:37"]),
            ("lua: '1'\nstrategy: {type: fan_out, over: }", ["MR1103 7:"]),
            ("lua: '1'\nstrategy: {type: fan_out, over: 2, as: last}", ["MR1107 7:44"]),
            ("lua: '1'\nstrategy: {type: fan_out, over: 2, as: json}", ["MR1107 7:44"]),
            ("lua: '1'\nstrategy: {type: fan_out, over: 2, as: end}", ["MR1107 7:44"]),
            ("lua: '1'\nstrategy: {type: fan_out, over: 2, as: An}", ["MR1107 7:44"]),
            ("lua: '1'\nstrategy: {type: fan_out, over: 2, concurrency: 0}", ["MR1109 7:53"]),
            ("lua: '1'\nstrategy: {type: batch, over: 2}", ["MR1102 7:15"]),
            ("lua: '1'\nstrategy: {type: batch, over: 2, size: 10001}", ["MR1109 7:44"]),
            ("lua: '1'\nstrategy: {type: scatter, over: 2, size: 1}", ["MR1209 7:40"]),
            ("lua: '1'\nstrategy: {type: race, over: 2, until: index > 1}", ["MR1113 7:37"]),
            (
                "lua: '1'\nstrategy: {type: fan_out, over: 2, until: index > 1, concurrency: 2}",
                ["MR1109 7:71"]
            ),
            ("lua: '1'\nstrategy: {type: fan_out, over: 2, until: steps.one.output}", []),
            ("lua: '1'\nstrategy: {type: fan_out, over: steps.one.output}", ["MR1205 7:37"]),
            ("lua: steps.one.output\nstrategy: {type: fan_out, over: 2}", ["MR1205 6:10"]),
            ("lua: '1'\nstrategy: {type: fan_out, over: 2, untill: index > 1}", ["MR1101 7:40"]),
        ])
    func faults(lines: String, expected: [String]) {
        let marks = Reading.marks(Reading.step(lines))
        #expect(marks.count == expected.count, "\(marks)")
        for (mark, wanted) in zip(marks, expected) {
            #expect(mark.hasPrefix(wanted), "\(mark) is not \(wanted)")
        }
    }

    @Test("steps inside a group read what is before them and what the group comes after, and nothing else")
    func readsAreChecked() {
        let text = """
            name: a
            version: 1
            triggers: [{type: manual}]
            steps:
              early: {lua: '1'}
              beside: {lua: '1'}
              group:
                after: early
                steps:
                  first: {lua: steps.early.output}
                  second: {lua: steps.beside.output}
                  third: {lua: steps.first.output}
                  fourth: {after: third, lua: steps.group.output}
                output: {a: << steps.third.output >>, b: << steps.beside.output >>}
              late: {after: group, lua: steps.first.output}
            output: [<< steps.group.output >>, << steps.fourth.output >>]
            """
        let problems = Reading.workflow(text).problems
        #expect(
            problems.map { "\($0.code) \($0.mark.line)" } == [
                "MR1205 11", "MR1205 12", "MR1205 13", "MR1205 14", "MR1203 15", "MR1203 16",
            ])
        #expect(problems[0].hint == "add `after: [beside]` to `group`")
        #expect(problems[4].hint == "it is inside `group`: from outside read `steps.group.output`")
    }

    @Test("what undoes a step inside a group reads every step around, settled or not")
    func compensationReads() {
        let text = """
            name: a
            version: 1
            triggers: [{type: manual}]
            steps:
              group:
                strategy: {type: fan_out, over: 2}
                steps:
                  one:
                    lua: '1'
                    compensate:
                      request: {url: "https://x.y/<< steps.one.output >>/<< steps.two.output >>/<< steps.late.output >>"}
                  two: {lua: '1'}
              late: {after: group, lua: '1'}
            """
        #expect(Reading.marks(text) == [])
    }

    private static func nested(_ depth: Int) -> String {
        var value = "{lua: '1'}"
        for level in 0..<depth { value = "{steps: {s\(level): \(value)}}" }
        return "{name: a, version: 1, triggers: [{type: manual}], steps: {top: \(value)}}"
    }

    @Test("groups stand at most 8 deep in one another")
    func depthIsBounded() {
        #expect(Reading.marks(Self.nested(8)) == [])
        #expect(Reading.workflow(Self.nested(9)).problems.map(\.code) == ["MR1211"])
    }

    @Test("steps inside groups count towards the 1,000")
    func countIsBounded() {
        func file(_ count: Int) -> String {
            let steps = (0..<count).map { "      s\($0): {lua: '1'}" }.joined(separator: "\n")
            return "name: a\nversion: 1\ntriggers: [{type: manual}]\nsteps:\n  top:\n    steps:\n" + steps
        }
        #expect(Reading.marks(file(999)) == [])
        #expect(Reading.workflow(file(1000)).problems.map(\.code) == ["MR1208"])
    }

    @Test("defaults: 16 at a time, a batch one; `until` makes it one; the item is called `item`")
    func defaults() throws {
        func strategy(_ text: String) throws -> Strategy {
            let read = Reading.workflow(Reading.step("lua: '1'\nstrategy: {\(text)}"))
            return try #require(read.definition?.root.steps.first?.strategy)
        }
        let plain = try strategy("type: race, over: 2")
        #expect(plain.concurrency == 16 && plain.itemName == "item" && plain.size == 1 && !plain.isLoop)
        #expect(try strategy("type: batch, over: 2, size: 7").concurrency == 1)
        #expect(try strategy("type: scatter, over: 2, until: index > 1").isLoop)
    }

    @Test("an item of a batch is a part of the list, of a map its members, of a number the numbers")
    func itemsAreTaken() {
        var batch = Strategy(kind: .batch, over: .constant(.null), size: 2)
        #expect(batch.itemCount([1, 2, 3]) == 2)
        #expect(batch.item(2, of: [1, 2, 3]) == [3])
        #expect(batch.item(1, of: ["a": 1]) == [["key": "a", "value": 1]])
        #expect(batch.item(2, of: 3) == [3])
        #expect(batch.item(3, of: 3) == .null && batch.item(0, of: 3) == .null)
        #expect(batch.itemCount(.string("x")) == nil && batch.itemCount(-1) == nil)
        batch = Strategy(kind: .fanOut, over: .constant(.null))
        #expect(batch.item(4, of: [1, 2, 3]) == .null)
    }
}
