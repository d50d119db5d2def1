import Ports
import Runtime
import StandIns
import Testing
import Values

/// Files and scripts written to harm the server that reads them.
@Suite("Hostile files and scripts")
struct HostileSourceTests {
    private static func file(steps: String) -> String {
        "name: x\nversion: 1\ntriggers: [{type: http}]\nsteps:\n\(steps)\n"
    }

    private static func repeated(_ text: String, _ count: Int) -> String {
        String(repeating: text, count: count)
    }

    static var files: [(name: String, source: String)] {
        let bomb = (1...9).map { "l\($0): &l\($0) [\(repeated("*l\($0 - 1), ", 9))]" }.joined(separator: "\n")
        let good = file(steps: "  one: {lua: 'return 1'}")
        return [
            ("Y1 brackets", repeated("[", 100_000)), ("Y1 braces", repeated("{a: ", 50_000)),
            ("Y1 dashes", repeated("- ", 100_000)),
            ("Y1 JSON", repeated("[", 100_000) + repeated("]", 100_000)),
            ("Y1 33 levels", file(steps: "  one: {lua: \(repeated("[", 40))\(repeated("]", 40))}")),
            ("Y2 alias bomb", "l0: &l0 lol\n\(bomb)"),
            ("Y2 recursive", "a: &a [*a]"), ("Y3 doubled", good + "name: x\n"),
            ("Y3 doubled step", good + "  one: {lua: 'return 2'}\n"),
            ("Y3 JSON", #"{"name":"x","name":"x"}"#),
            ("Y5 tag", file(steps: "  one: {lua: !!python/object:os.system 'x'}")),
            ("Y5 binary", file(steps: "  one: {lua: !!binary aGk=}")),
            ("Y5 merge", file(steps: "  one: {<<: {lua: x}}")),
            ("Y6 two documents", good + "---\n" + good), ("Y6 size", good + "# " + repeated("x", 300_000)),
            ("Y6 scalar", file(steps: "  one: {lua: '\(repeated("x", 70_000))'}")),
            ("Y6 nodes", good + "vars:\n" + (1...11_000).map { "  v\($0): 1\n" }.joined()),
            ("Y6 UTF-8", good + "# \u{FFFE}"), ("Y6 empty", ""), ("Y6 spaces", repeated(" ", 1_000)),
            ("Y6 NUL", "a\u{0}b"),
            ("Y7 wehn", file(steps: "  one: {lua: 'return 1', wehn: 'false'}")),
            ("Y7 root", good + "step: {}\n"),
            ("null when", file(steps: "  one:\n    when: #x\n    lua: return 1")),
            ("a cycle", file(steps: "  a: {lua: x, after: [b]}\n  b: {lua: x, after: [a]}")),
            ("self", file(steps: "  a: {lua: 'return 1', after: [a]}")),
            ("no such step", file(steps: "  a: {lua: 'return 1', after: [zz]}")),
            ("a call of many", file(steps: "  a: {call: [other, more]}")),
            ("a bad name", good.replacing("name: x", with: "name: '../x'")),
            (
                "an open expression",
                file(steps: "  a: {request: {method: GET, url: 'http://x/<< trigger.body'}}")
            ),
            ("Lua syntax", file(steps: "  a: {lua: 'return ((('}")),
            ("Lua depth", file(steps: "  a: {lua: 'return \(repeated("(", 5_000))'}")),
            ("Lua bytecode", file(steps: "  a: {lua: \"\\eLua\"}")),
            ("many problems", file(steps: (1...500).map { "  a\($0): {bad: 1}" }.joined(separator: "\n"))),
            ("a huge number", good.replacing("version: 1", with: "version: 99999999999999999999")),
            (
                "a regular expression",
                "name: x\nversion: 1\ntriggers: [{type: http, schema: {pattern: '((a+)+)+('}}]\nsteps: {a: {lua: x}}"
            ),
            (
                "a recursive schema",
                "name: x\nversion: 1\ntriggers: [{type: http, schema: {$ref: '#'}}]\nsteps: {a: {lua: 'return 1'}}"
            ),
            (
                "a remote schema",
                "name: x\nversion: 1\ntriggers: [{type: http, schema: {$ref: 'http://127.0.0.1/x'}}]\nsteps: {a: {lua: 'return 1'}}"
            ),
        ]
    }

    @Test("Y1 to Y10: hostile files are refused with problems that say where, soon, and nothing is deployed")
    func hostileFilesAreRefused() throws {
        try withService { service in
            let acme = try service.tenant()
            for (name, source) in Self.files {
                let begun = ContinuousClock.now
                let checked = acme.send("POST", "/api/workflows/validate", text: source)
                let deployed = acme.send("PUT", "/api/workflows/x", text: source)
                #expect(ContinuousClock.now - begun < .seconds(15), "\(name)")
                #expect(
                    checked.status == 200 && checked["valid"] == false, "\(name): \(checked.text.prefix(200))"
                )
                let problems = checked["problems"]?.array ?? []
                #expect(!problems.isEmpty && checked.body.count < 1 << 20, "\(name)")
                for problem in problems {
                    #expect(
                        (problem["line"]?.int ?? 0) >= 1 && problem["message"]?.text.isEmpty == false,
                        "\(name)")
                }
                #expect(
                    deployed.status == 422 && deployed.code == "invalid_workflow",
                    "\(name): \(deployed.text.prefix(200))")
            }
            #expect(acme.get("/api/workflows").items.isEmpty)
            #expect(service.call("GET", "/readyz").status == 200)
        }
    }

    @Test("Raw bytes that are no text at all are refused as well")
    func rawBytesAreRefused() throws {
        try withService { service in
            let acme = try service.tenant()
            var state: UInt64 = 7
            for round in 0..<60 {
                var bytes = round % 2 == 0 ? [] : Array("name: x\nversion: 1\n".utf8)
                for _ in 0..<(round * 7) {
                    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                    bytes.append(UInt8(truncatingIfNeeded: state >> 33))
                }
                let answer = service.call("PUT", "/api/workflows/x", key: acme.key, body: bytes)
                #expect(answer.status == 422, "\(round): \(answer.status) \(answer.text.prefix(200))")
            }
        }
    }

    /// Guards that never end, or eat memory, if they are let.
    static let scripts = [
        "while true do end", "for i = 1, math.huge do end", "local function f() return f() end return f()",
        "local function f() return 1 + f() end return f()", "local s = 'x' while true do s = s .. s end",
        "local t = {} while true do t[#t + 1] = 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' .. #t end",
        "return ('a'):rep(1000000000)", "return (('a'):rep(30000)):find(('a*'):rep(30) .. 'b')",
        "return (('a'):rep(30000)):gsub('.-.-.-.-b', '')",
        "local t = {} for i = 1, 1e9 do t[i] = i end return true",
        "return table.concat({}, 'x', 1, 1000000000)", "repeat until false",
        "goto top ::top:: while 1 do end",
        "return string.rep('x', 1 << 40)", "return json.decode(('['):rep(100000))",
        "local t = {} for i = 1, 100000 do t[i] = i * 7919 % 100003 end table.sort(t, function(a, b) return true end) return true",
    ]

    @Test("G2, S15: guards that never end are stopped, and other tenants are served meanwhile")
    func endlessGuardsAreStopped() throws {
        try withService { service in
            let (hostile, acme) = (try service.tenant("Hostile"), try service.tenant())
            acme.deploy(
                "{\"name\":\"ok\",\"version\":1,\"triggers\":[{\"type\":\"webhook\",\"when\":\"true\"}],\"steps\":{\"a\":{\"lua\":\"return 1\"}}}"
            )
            var names: [String] = []
            for (index, script) in Self.scripts.enumerated() {
                let source: Value = [
                    "name": .string("bad-\(index)"), "version": 1,
                    "triggers": [["type": "webhook", "when": ["lang": "lua", "expr": .string(script)]]],
                    "steps": ["a": ["lua": "return 1"]],
                ]
                let deployed = hostile.deploy(JSON.text(source))
                if deployed.status == 201 { names.append("bad-\(index)") }
            }
            #expect(names.count >= 10, "most of them are well-formed")
            for name in names.prefix(8) {
                let begun = ContinuousClock.now
                let answer = service.hook(name, of: hostile.tenant, "{}")
                #expect([401, 500].contains(answer.status), "\(name): \(answer.status) \(answer.text)")
                #expect(ContinuousClock.now - begun < .seconds(10), "\(name)")
            }
            let flood = Gathered<Reply>()
            let path = "/hooks/\(hostile.tenant)/\(names[0])"
            for _ in 1...150 { service.begin("POST", path, body: Array("{}".utf8)) { flood.add($0) } }
            let begun = ContinuousClock.now
            for _ in 1...3 { #expect(service.hook("ok", of: acme.tenant, "{}").status == 202) }
            #expect(ContinuousClock.now - begun < .seconds(20))
            let answers = flood.wait(for: 150)
            #expect(answers.allSatisfy { [500, 503].contains($0.status) })
            // After a while they are turned away unread, and the owner can see it.
            #expect(
                answers.contains { $0.status == 503 && $0.headers["retry-after"] != nil },
                "\(answers.map(\.status))")
            let refusals = hostile.get("/api/workflows/\(names[0])")["refusals"]?.array ?? []
            #expect(refusals.contains { $0["last_detail"]?.text.contains("too long") == true })
            #expect(acme.runs().count == 3)
        }
    }

    @Test("S15: however many triggers a workflow has, their guards together are stopped soon")
    func manyEndlessGuardsAreStopped() throws {
        try withService { service in
            let hostile = try service.tenant("Hostile")
            let endless: Value = [
                "type": "webhook", "when": ["lang": "lua", "expr": "while true do end return true"],
            ]
            let source: Value = [
                "name": "many", "version": 1, "triggers": .array([Value](repeating: endless, count: 100)),
                "steps": ["a": ["lua": "return 1"]],
            ]
            let deployed = hostile.deploy(JSON.text(source))
            #expect(deployed.status == 201, "\(deployed.text.prefix(300))")
            let begun = ContinuousClock.now
            #expect(service.hook("many", of: hostile.tenant, "{}").status == 500)
            #expect(ContinuousClock.now - begun < .seconds(10))
        }
    }

    @Test("G2, G4: endless steps fail their run and nobody else's")
    func endlessStepsFail() throws {
        try withService { service in
            let (hostile, acme) = (try service.tenant("Hostile"), try service.tenant())
            acme.deploy(WorkflowCallTests.source())
            var runs: [String] = []
            for (index, script) in Self.scripts.enumerated() {
                let source: Value = [
                    "name": .string("bad-\(index)"), "version": 1, "triggers": [["type": "http"]],
                    "steps": ["a": ["lua": .string(script)]],
                ]
                guard hostile.deploy(JSON.text(source)).status == 201 else { continue }
                let started = hostile.trigger("bad-\(index)")
                #expect(started.status == 202)
                runs.append(started["run_id"]?.text ?? "")
            }
            #expect(try acme.run("plain", ["a": 1])["status"] == "succeeded")
            let ended = runs.map { hostile.finished($0) }
            #expect(ended.count { $0["status"] == "failed" } >= runs.count - 3)
            for run in ended { #expect(run["status"] != "running", "\(run["error"] ?? .null)") }
            #expect(service.call("GET", "/readyz").status == 200)
        }
    }
}
