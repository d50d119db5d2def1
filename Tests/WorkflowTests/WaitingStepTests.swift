import Testing
import Values
import Workflow

@Suite("Steps that wait, and those that speak with runs and callers")
struct WaitingStepTests {
    /// A workflow with one step, `one`, whose trigger holds its request.
    static func document(_ lines: String) -> String {
        Reading.step(lines).replacing("{type: manual}", with: "{type: http, reply: result}")
    }

    static func action(_ lines: String) throws -> Step.Action {
        let read = Reading.workflow(document(lines))
        #expect(read.problems == [])
        return try #require(read.definition?.root.steps.first?.action)
    }

    static let twentyOne = (1...21).map { "s\($0)" }.joined(separator: ", ")
    static let longName = String(repeating: "a", count: 65)

    @Test(
        "each fault has its code and place",
        arguments: [
            ("sleep: 30", ["MR1110 6:12"]), ("sleep: soon", ["MR1110 6:12"]),
            ("sleep: ", ["MR1110 6:11"]), ("sleep: [3d]", ["MR1110 6:12"]),
            ("sleep: 0s", ["MR1109 6:12"]), ("sleep: 401d", ["MR1109 6:12"]),
            ("sleep: 400d1ms", ["MR1109 6:12"]), ("sleep: 2026-12-24T18:00:00Z", ["MR1110 6:12"]),
            ("sleep: << trigger.body. >>", ["MR1303 6:15"]), ("sleep: << a", ["MR1301 6:12"]),
            ("sleep: << steps.two.output >>", ["MR1203 6:15"]),
            ("sleep: << steps.one.output >>", ["MR1205 6:15"]),
            ("sleep: {}", ["MR1102 6:12"]), ("sleep: {until: }", ["MR1115 6:20"]),
            ("sleep: {until: tomorrow}", ["MR1115 6:20"]), ("sleep: {until: true}", ["MR1115 6:20"]),
            ("sleep: {until: -1}", ["MR1115 6:20"]), ("sleep: {until: 253402300800}", ["MR1115 6:20"]),
            ("sleep: {until: [\"<< 1 >>\"]}", ["MR1115 6:20"]), ("sleep: {until: {a: 1}}", ["MR1115 6:20"]),
            ("sleep: {until: 401d}", ["MR1109 6:20"]), ("sleep: {until: << 1 + >>}", ["MR1303 6:23"]),
            ("sleep: {until: 3d, timeout: 1h}", ["MR1101 6:24"]),
            ("sleep: 3d\nretry: {max: 1}", ["MR1903 7:5"]),
            ("sleep: 3d\nresponse: {timeout: 1s}", ["MR1209 7:5"]),
            ("sleep: 3d\nwait: x", ["MR1202 7:5"]),
            ("wait: ", ["MR1103 6:10"]), ("wait: 12", ["MR1103 6:11"]), ("wait: [a, b]", ["MR1103 6:11"]),
            ("wait: Paid", ["MR1114 6:11"]), ("wait: is-paid", ["MR1114 6:11"]),
            ("wait: 1st", ["MR1114 6:11"]), ("wait: \(longName)", ["MR1114 6:11"]),
            ("wait: << vars.x >>", ["MR1114 6:11"]),
            ("wait: {}", ["MR1102 6:11"]), ("wait: {timeout: 3d}", ["MR1102 6:11"]),
            ("wait: {signal: a, any: [b]}", ["MR1113 6:23"]), ("wait: {signal: [a]}", ["MR1103 6:20"]),
            ("wait: {any: a}", ["MR1103 6:17"]), ("wait: {any: []}", ["MR1112 6:17"]),
            ("wait: {any: [\(twentyOne)]}", ["MR1109 6:17"]), ("wait: {any: [a, a]}", ["MR1114 6:21"]),
            ("wait: {any: [A, 1]}", ["MR1114 6:18", "MR1103 6:21"]),
            ("wait: {signal: a, timeout: 0s}", ["MR1109 6:32"]),
            ("wait: {signal: a, timeout: 401d}", ["MR1109 6:32"]),
            ("wait: {signal: a, timeout: 3}", ["MR1110 6:32"]),
            ("wait: {signal: a, timeout: << 1 + >>}", ["MR1303 6:35"]),
            ("wait: {signal: a, timeout: {until: 3d}}", ["MR1110 6:32"]),
            ("wait: {signal: a, timeout: 3d, on_timeout: skip}", ["MR1108 6:48"]),
            ("wait: {signal: a, on_timeout: fail}", ["MR1905 6:23"]),
            ("wait: a\nretry: {max: 1}", ["MR1903 7:5"]),
            ("wait: a\nresponse: {accept: 402}", ["MR1209 7:5"]),
            ("signal: paid", ["MR1103 6:13"]), ("signal: {}", ["MR1102 6:13", "MR1102 6:13"]),
            ("signal: {run: r}", ["MR1102 6:13"]), ("signal: {name: a}", ["MR1102 6:13"]),
            ("signal: {run: , name: a}", ["MR1103 6:19"]), ("signal: {run: [r], name: a}", ["MR1103 6:19"]),
            ("signal: {run: r, name: Paid}", ["MR1114 6:28"]),
            ("signal: {run: r, name: 12}", ["MR1114 6:28"]),
            ("signal: {run: r, name: [a]}", ["MR1103 6:28"]), ("signal: {run: r, name: }", ["MR1103 6:28"]),
            ("signal: {run: r, name: a, body: << 1 + >>}", ["MR1303 6:40"]),
            ("signal: {run: r, name: a}\nretry: {max: 1}", ["MR1903 7:5"]),
            ("reply: 200", ["MR1103 6:12"]), ("reply: {status: 199}", ["MR1109 6:21"]),
            ("reply: {status: 600}", ["MR1109 6:21"]), ("reply: {status: '200'}", ["MR1103 6:21"]),
            ("reply: {headers: {Set-Cookie: a=b}}", ["MR1502 6:23"]),
            ("reply: {headers: {content-length: 1}}", ["MR1502 6:23"]),
            ("reply: {headers: {a: 1, A: 2}}", ["MR1502 6:29"]),
            ("reply: {headers: {a: \"x\\ny\"}}", ["MR1504 6:26"]),
            ("reply: {}\nretry: {max: 1}", ["MR1903 7:5"]),
            ("reply: {}\nresponse: {accept: 402}", ["MR1209 7:5"]),
            ("retry: {max: 1}", ["MR1202 6:5"]),
        ])
    func faults(lines: String, expected: [String]) {
        #expect(Reading.marks(Self.document(lines)) == expected)
    }

    @Test(
        "a misspelt key is answered with the right one",
        arguments: [
            ("sleeep: 3d", "sleep"), ("wiat: x", "wait"), ("signl: {}", "signal"), ("replay: {}", "reply"),
            ("sleep: {untl: x}", "until"), ("wait: {singal: x}", "signal"),
            ("wait: {signal: x, anny: [y]}", "any"),
            ("wait: {signal: x, timout: 3d}", "timeout"),
            ("wait: {signal: x, on_timout: fail}", "on_timeout"),
            ("wait: {signal: x, timeout: 3d, on_timeout: regect}", "reject"),
            ("signal: {rum: r, name: a}", "run"), ("signal: {run: r, nmae: a}", "name"),
            ("signal: {run: r, name: a, boby: 1}", "body"), ("reply: {stauts: 200}", "status"),
            ("reply: {header: {a: b}}", "headers"), ("reply: {bdy: 1}", "body"),
        ])
    func suggestions(lines: String, wanted: String) {
        let problems = Reading.workflow(Self.document(lines)).problems
        #expect(problems.contains { $0.hint == "did you mean `\(wanted)`?" }, "\(problems)")
        #expect(problems.hasErrors)
    }

    @Test(
        "a sleep takes a duration from 1 ms to 400 days",
        arguments: [
            ("1ms", Duration.milliseconds(1)), ("1h30m", .seconds(5400)), ("400d", .seconds(34_560_000)),
        ])
    func sleepForDuration(text: String, wanted: Duration) throws {
        guard case .sleep(.duration(let duration)) = try Self.action("sleep: \(text)") else {
            Issue.record("no duration")
            return
        }
        #expect(duration == wanted)
    }

    @Test(
        "a sleep takes an expression or a time",
        arguments: [
            "<< trigger.body.at >>", "\"{{ trigger.body.days }}d\"", "{lang: lua, expr: trigger.body.at}",
            "{until: << trigger.body.at >>}", "{until: {lang: lua, expr: trigger.body.at}}",
            "{until: 2026-12-24T18:00:00Z}", "{until: 2026-12-24}", "{until: 1798135200}", "{until: 3d}",
        ])
    func sleepUntil(text: String) throws {
        guard case .sleep(.until) = try Self.action("sleep: \(text)") else {
            Issue.record("no time")
            return
        }
    }

    @Test("a wait names one signal in short, or up to twenty")
    func signalsOfWait() throws {
        let twenty = (1...20).map { "s\($0)" }
        let longest = String(repeating: "a", count: 64)
        let cases = [
            ("paid", ["paid"]), ("end", ["end"]), ("{signal: \(longest)}", [longest]),
            ("{any: [a, b_2]}", ["a", "b_2"]),
            ("{any: [\(twenty.joined(separator: ", "))]}", twenty),
        ]
        for (text, wanted) in cases {
            guard case .wait(let rule) = try Self.action("wait: \(text)") else {
                Issue.record("no wait")
                return
            }
            #expect(rule.signals == wanted)
            #expect(rule.timeout == nil && rule.onTimeout == .fail)
        }
    }

    @Test("a wait says what its timeout does", arguments: ["fail", "reject", "continue"])
    func timeoutOfWait(name: String) throws {
        let action = try Self.action("wait: {signal: a, timeout: 75d, on_timeout: \(name)}")
        guard case .wait(let rule) = action else {
            Issue.record("no wait")
            return
        }
        guard case .duration(.seconds(75 * 86_400))? = rule.timeout else { return #expect(Bool(false)) }
        #expect(rule.onTimeout.rawValue == name)
    }

    @Test("a signal and a reply keep their parts")
    func parts() throws {
        let signal = try Self.action("signal: {run: << trigger.body.run >>, name: paid, body: {a: 1}}")
        guard case .signal(let template) = signal else {
            Issue.record("no signal")
            return
        }
        #expect(template.run.expressions.count == 1)
        #expect(template.name.constant == "paid" && template.body?.constant == ["a": 1])
        let reply = try Self.action("reply: {status: 599, headers: {X-A: << run.token >>}, body: [1]}")
        guard case .reply(let answer) = reply else {
            Issue.record("no reply")
            return
        }
        #expect(answer.status == 599 && answer.body?.constant == [1])
        #expect(answer.headers.map(\.name) == ["X-A"])
        guard case .reply(let plain) = try Self.action("reply: {}") else {
            Issue.record("no reply")
            return
        }
        #expect(plain.status == 200 && plain.headers.isEmpty && plain.body == nil)
    }

    @Test("a reply that nobody waits for is a warning, wherever the held request is missing")
    func replyToNobody() {
        let lines = "reply: {body: 1}"
        #expect(Reading.marks(Reading.step(lines)) == ["MR1904 6:5"])
        #expect(Reading.workflow(Reading.step(lines)).definition != nil)
        let misspelt = Self.document(lines).replacing("result", with: "resutl")
        #expect(Reading.workflow(misspelt).problems.map(\.code) == ["MR1108"])
    }

    @Test("what a wait brought is read by the steps after it, and the run's token by any")
    func namesOfWaiting() {
        let steps = """
            {w: {wait: a}, \
            x: {lang: lua, after: w, lua: 'return {steps.w.signal.name, steps.w.signal.body, run.token}'}, \
            y: {after: w, when: steps.w.timed_out, finish: 1}, \
            z: {lua: steps.w.timed_out}}
            """.replacing("lang: lua, ", with: "")
        let text = "name: a\nversion: 1\ntriggers: [{type: manual}]\nsteps: \(steps)\n"
        #expect(Reading.workflow(text).problems.map(\.code) == ["MR1205"])
    }

    @Test(
        "a whole run is bounded from 1 s to 400 d",
        arguments: [
            ("1s", nil), ("400d", nil), ("999ms", "MR1109"), ("401d", "MR1109"), ("3600", "MR1110"),
            ("<< vars.x >>", "MR1110"), ("", "MR1110"),
        ] as [(String, String?)])
    func documentTimeout(text: String, code: String?) {
        let read = Reading.workflow("timeout: \(text)\n" + Reading.step("lua: '1'"))
        #expect(read.problems.map(\.code) == [code].compactMap { $0 })
        #expect((read.definition?.timeout != nil) == (code == nil))
    }
}
