import Engine
import Ports
import Storage
import Testing
import Values

@Suite("The graph of steps")
struct GraphTests {
    @Test("a list of steps runs one after the other, each sent once the one before is recorded")
    func listIsASequence() throws {
        var play = try Play(
            """
            steps:
              - id: first
                request: {url: https://a.example/1}
              - id: second
                request: {url: https://a.example/2}
            """)
        #expect(play.begin() == ["started", "send first#1"])
        #expect(play.answer("first") == ["first succeeded", "send second#1"])
        #expect(play.answer("second") == ["second succeeded", "finished: succeeded", "finish succeeded"])
    }

    @Test("branches of a diamond are in flight together and the join waits for both")
    func diamondJoins() throws {
        var play = try Play(
            """
            steps:
              top: {request: {url: https://a.example/t}}
              left: {after: [top], request: {url: https://a.example/l}}
              right: {after: [top], request: {url: https://a.example/r}}
              join: {after: [left, right], request: {url: "https://a.example/<< steps.left.response.body.n >>"}}
            """)
        play.begin()
        #expect(play.answer("top") == ["top succeeded", "send left#1", "send right#1"])
        #expect(play.answer("right") == ["right succeeded"])
        #expect(play.answer("left", 200, ["n": 5]) == ["left succeeded", "send join#1"])
        #expect(try play.request("join").url == "https://a.example/5")
    }

    @Test(
        "a guard that is true runs the step, false and null skip it",
        arguments: [
            ("true", "b succeeded"), ("1 < 2", "b succeeded"), ("false", "b skipped: guard_false"),
            ("nil", "b skipped: guard_false"), ("trigger.body.nothing.there", "b skipped: guard_false"),
        ])
    func guardDecides(expression: String, expected: String) throws {
        var play = try Play("steps:\n  b:\n    when: \(expression)\n    lua: return 1")
        #expect(play.begin().contains(expected))
        #expect(play.outcome?.status == .succeeded)
    }

    @Test(
        "a guard that gives another value or raises an error fails the step and never skips it",
        arguments: [
            ("\"'false'\"", "not_a_value"), ("0", "not_a_value"), ("\"{}\"", "not_a_value"),
            ("{lang: lua, expr: \"error('boom')\"}", "raised"), ("secrets.NOT_SET == 'x'", "secret_missing"),
        ])
    func guardErrorFails(expression: String, code: String) throws {
        var play = try Play("steps:\n  b:\n    when: \(expression)\n    lua: return 1")
        #expect(play.begin() == ["started", "b failed: \(code)", "finished: failed", "finish failed"])
        #expect(play.outcome?.failedStep == "b")
        #expect(play.error(of: "b")?.message.hasPrefix("when: ") == true)
    }

    @Test("a step after skipped steps only is skipped too; one settled neighbour is enough to run it")
    func skipPropagates() throws {
        var play = try Play(
            """
            steps:
              no: {when: "false", lua: return 1}
              also_no: {when: "false", lua: return 1}
              yes: {lua: return 1}
              under: {after: [no, also_no], lua: return 1}
              deeper: {after: [under], lua: return 1}
              mixed: {after: [no, yes], lua: return steps.no.outcome}
            """)
        play.begin()
        #expect(
            play.steps == [
                "no": "skipped", "also_no": "skipped", "yes": "succeeded", "under": "skipped",
                "deeper": "skipped",
                "mixed": "succeeded",
            ])
        #expect(play.outcome?.status == .succeeded)
    }

    @Test("in a list a false guard leaves out its own step, and a wait that rejects cuts off the rest")
    func listGoesOn() throws {
        var play = try Play(
            """
            steps:
              - {id: no, when: "false", lua: return 1}
              - {id: also_no, when: "false", lua: return 1}
              - {id: yes, lua: return 1}
              - {id: approval, wait: {signal: approved, timeout: 1h, on_timeout: reject}}
              - {id: under, lua: return 1}
              - {id: deeper, lua: return 1}
            """)
        play.begin()
        #expect(play.steps["yes"] == "succeeded")
        _ = try play.crash()
        play.ring("approval", at: Play.start + .seconds(3600))
        #expect(
            play.steps == [
                "no": "skipped", "also_no": "skipped", "yes": "succeeded", "approval": "skipped",
                "under": "skipped", "deeper": "skipped",
            ])
        #expect(play.outcome?.status == .succeeded)
    }

    @Test("a failed step fails the run: what is in flight is let finish, nothing new starts")
    func failureStopsNewSteps() throws {
        var play = try Play(
            """
            steps:
              a: {request: {url: https://a.example/}}
              b: {request: {url: https://b.example/}}
              c: {after: [a], request: {url: https://c.example/}}
            """)
        play.begin()
        #expect(play.answer("b", 404) == ["b failed: status", "in flight: a"])
        #expect(play.answer("a") == ["a succeeded", "finished: failed", "finish failed"])
        #expect(play.outcome?.failedStep == "b")
        #expect(play.steps["c"] == "not_reached")
    }

    @Test("`on_error: continue` lets the run go on and shows the error to later steps")
    func continueGoesOn() throws {
        var play = try Play(
            """
            steps:
              a: {on_error: continue, request: {url: https://a.example/}}
              b:
                after: [a]
                lua: |
                  return {steps.a.outcome, steps.a.error.code, steps.a.attempts, steps.a.response.status}
            output: << steps.b.output >>
            """)
        play.begin()
        play.answer("a", 404)
        #expect(play.outcome?.status == .succeeded)
        #expect(play.outcome?.output == ["failed", "status", 1, 404])
    }

    @Test("`fail` ends the run as failed with its text, evaluated")
    func failEnds() throws {
        var play = try Play(
            "steps:\n  stop:\n    fail: 'no stock of << trigger.body.item >>'\n  never:\n    after: [stop]\n    lua: return 1"
        )
        #expect(
            play.begin(body: ["item": "tea"]) == [
                "started", "stop failed: fail", "finished: failed", "finish failed",
            ])
        #expect(play.outcome?.error == StepError(code: "fail", message: "no stock of tea"))
    }

    @Test("`finish` ends the run as succeeded with its value while others in flight are let finish")
    func finishEnds() throws {
        var play = try Play(
            """
            steps:
              slow: {request: {url: https://a.example/}}
              quick: {finish: {done: << trigger.body.n >>}}
              never: {after: [slow], lua: return 1}
            output: not this
            """)
        #expect(play.begin(body: ["n": 4]) == ["started", "quick succeeded", "send slow#1"])
        #expect(play.answer("slow", 500).suffix(2) == ["finished: succeeded", "finish succeeded"])
        #expect(play.outcome?.output == ["done": 4])
        #expect(play.steps["never"] == "not_reached")
    }

    @Test("the output keeps types; one that raises an error fails the run")
    func outputIsEvaluated() throws {
        var good = try Play(
            "steps:\n  a: {lua: 'return {x = 1.5}'}\noutput: {n: << steps.a.output.x >>, t: 'v<< 1 >>'}")
        good.begin()
        #expect(good.outcome?.output == ["n": .number("1.5"), "t": "v1"])
        var bad = try Play("steps:\n  a: {lua: return 1}\noutput: {lang: lua, expr: \"error('no')\"}")
        #expect(
            bad.begin().suffix(3) == ["output failed: raised", "finished: failed", "finish failed"])
        #expect(bad.outcome?.error?.code == "raised")
        #expect(bad.outcome?.error?.message.hasPrefix("output: ") == true)
    }

    @Test("expressions see trigger, vars, run, tenant and earlier steps")
    func scopeIsComplete() throws {
        var play = try Play(
            """
            vars: {k: [1, 2]}
            steps:
              a:
                lua: |
                  return {
                    trigger.type, trigger.body.x, trigger.headers['x-a'], trigger.query.q, trigger.raw_body,
                    vars.k[1], run.id, run.workflow, run.now, tenant.id, tenant.name, tenant.external_customer_id,
                  }
            output: << steps.a.output >>
            """)
        play.begin(body: ["x": 1], headers: [HTTPHeader("x-a", "b")], query: [("q", "2")])
        let first: Value = ["http", 1, "b", "2", "{\"x\":1}", 1]
        #expect(Array(play.outcome?.output.array?.prefix(6) ?? []) == first.array)
        #expect(
            Array(play.outcome?.output.array?.suffix(6) ?? []) == [
                .string(RunID(number: 7).description), "play", .int(Play.start.seconds),
                .string(TenantID(number: 3).description), "Acme", "cus_1",
            ])
    }

    @Test(
        "what came from outside as deep as it may be is passed on, wrapped and read back",
        arguments: [127, 128])
    func deepestInput(depth: Int) throws {
        var play = try Play(
            """
            steps:
              - {id: a, lua: return trigger.body}
              - {id: b, lua: "return {a = {b = {c = steps.a.output}}}"}
            output: {all: [<< steps >>]}
            """)
        play.begin(body: Self.nested(depth))
        #expect(play.outcome?.status == .succeeded)
        for record in play.records {
            try #expect(JournalRecord(stored: record.stored).stored.facts == record.stored.facts)
        }
    }

    @Test("a value that a run nests deeper than a journal keeps is refused as an output")
    func deepOutputIsRefused() throws {
        var play = try Play(
            """
            steps:
              deepen:
                strategy: {type: fan_out, over: \((1...60).map { $0 }), until: "index == 60"}
                lua: "return {a = {b = {c = last and last.output or trigger.body}}}"
            """)
        play.begin(body: Self.nested(128))
        for record in play.records { _ = try JournalRecord(stored: record.stored) }
        #expect(play.outcome?.status == .failed)
        let message = play.outcome?.error?.message ?? ""
        #expect(message.contains("nested deeper than 256 levels"), "\(message)")
    }

    /// A list in a list, so many levels of them.
    private static func nested(_ levels: Int) -> Value {
        var deep: Value = []
        for _ in 1..<levels { deep = [deep] }
        return deep
    }
}
