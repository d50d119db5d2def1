import Foundation
import Ports
import Schedules
import Testing
import Values
import ZoneFiles

@Suite("Tables of docs/workflow-format.md")
struct FormatTableTests {
    typealias Check = @Sendable (FormatPage.Table) throws -> Void

    /// What executes a table, by its header.
    private static let checks: [String: Check] = [
        "bound | value": bounds, "written | is": scalars, "duration | milliseconds": durations,
        "`type` | starts a run when | keys": FormatKeys.triggers, "`type` | succeeds when": strategies,
        "`cron` | first times in Berlin after …": crons, "value | becomes": values,
        "name | is": FormatKeys.names, "of a step | is": FormatKeys.stepNames,
        "in a `finally` step | is": endings,
        "expression | gives": expressions, "expression | fails with": failures,
        "url | request to": addresses, "`Content-Type` | body | is read as": readBodies,
        "query | request to `https://shop.example.com/items` with": queries,
        "body | as JSON, the default | with `Content-Type: application/x-www-form-urlencoded`": bodies,
        "`sleep` | begun at 2026-12-01T00:00:00Z, ends at": sleeps,
        "`retry` of a request that is always answered with 503 | tries at": retries,
        "`error.code` | when": errors, "schema | body | fits": schemas,
    ]

    private static func check(of table: FormatPage.Table) -> Check? {
        if table.header.prefix(2) == ["key", "value"] { return FormatKeys.keys }
        // A time in a header is not what tells tables apart.
        let header = table.header.joined(separator: " | ").replacing(#/after \S+$/#, with: "after …")
        return checks[header]
    }

    /// Goal: a table is as true as an example.
    @Test("each table of the page says what the engine does", arguments: FormatPage.format.tables)
    func tablesAreExecuted(table: FormatPage.Table) throws {
        guard let check = Self.check(of: table) else {
            Issue.record("docs/workflow-format.md:\(table.line): no test executes a table of that header")
            return
        }
        #expect(!table.rows.isEmpty)
        try check(table)
    }

    private static func place(_ row: FormatPage.Table.Row) -> Comment {
        "docs/workflow-format.md:\(row.line)"
    }

    // MARK: - The file

    @Sendable private static func bounds(_ table: FormatPage.Table) throws {
        let makers: [String: (make: (Int) -> String, code: String)] = [
            "size of the file": (SizedWorkflow.ofBytes, "MR1002"),
            "lists and maps inside one another": (SizedWorkflow.ofDepth, "MR1004"),
            "values and names together, aliases counted as what they stand for": (
                SizedWorkflow.ofValues, "MR1005"
            ), "one text": (SizedWorkflow.ofText, "MR1006"),
            "aliases (`*x`)": (SizedWorkflow.ofAliases, "MR1010"),
            "steps, those inside groups counted": (SizedWorkflow.ofSteps, "MR1208"),
            "groups inside one another": (SizedWorkflow.ofGroups, "MR1211"),
        ]
        for row in table.rows {
            let maker = try #require(makers[row.cells[0]], place(row))
            let digits = try #require(Int(row.cells[1].filter(\.isNumber)), place(row))
            let bound = row.cells[1].hasSuffix("KiB") ? digits << 10 : digits
            #expect(try PageRun.codes(maker.make(bound)) == [], place(row))
            #expect(try PageRun.codes(maker.make(bound + 1)) == [maker.code], place(row))
        }
    }

    @Sendable private static func scalars(_ table: FormatPage.Table) throws {
        for row in table.rows {
            var written = row.cells[0].matches(of: #/`([^`]+)`(?: \((\d+)\))?/#).map {
                (text: String($0.1), value: $0.2.map(String.init))
            }
            if row.cells[0].contains("nothing") { written.append(("", nil)) }
            #expect(written.count > 1)
            for (text, value) in written {
                let run = try PageRun.simulate(PageRun.workflow("vars:\n  x: \(text)\noutput: << vars.x >>"))
                let output = try #require(run["output"], "\(place(row)): \(run)")
                #expect(fits(output, row.cells[1], text), "\(text) is \(output): \(place(row))")
                if let value { #expect(JSON.text(output) == value, place(row)) }
            }
        }
    }

    private static func fits(_ value: Value, _ kind: String, _ text: String) -> Bool {
        switch (kind, value) {
        case ("boolean", .bool(let flag)): String(flag) == text.lowercased()
        case ("null", .null), ("whole number", .int): true
        case ("number, kept digit by digit", .number(let digits)):
            // JSON wants a digit on both sides of the point.
            digits.hasPrefix(text) || digits.hasSuffix(text)
        case ("text", .string(let string)): string == text
        default: false
        }
    }

    @Sendable private static func durations(_ table: FormatPage.Table) throws {
        for row in table.rows {
            for text in row.code(0) {
                let workflow = PageRun.workflow("steps: [{sleep: \(text)}]")
                if row.cells[1] == "refused" {
                    #expect(!(try PageRun.codes(workflow).isEmpty), place(row))
                } else {
                    #expect(try PageRun.simulate(workflow)["elapsed_ms"]?.text == row.cells[1], place(row))
                }
            }
        }
    }

    /// Each name is there at the end and nowhere else, and is null or one of the words that its row gives.
    @Sendable private static func endings(_ table: FormatPage.Table) throws {
        for name in table.rows.flatMap({ $0.code(0) }) {
            let place = "docs/workflow-format.md:\(table.line): \(name)"
            let outside = "output: << \(name) >>"
            #expect(try PageRun.codes(PageRun.workflow(outside)) == ["MR1308"], "\(place)")
            let words = try #require(table.rows.first { $0.code(0) == [name] }).code(1)
            let text = PageRun.workflow(
                """
                steps: {done: {fail: no}}
                finally:
                  say: {request: {method: POST, url: "https://a.example/", body: {value: << \(name) >>}}}
                """)
            #expect(try PageRun.codes(text) == [], "\(place)")
            let run = try PageRun.simulate(text, answers: "mocks: [{step: finally/say, status: 200}]")
            let sent = try #require(run["requests"]?[0]?["body"]?.string, "\(place): \(run)")
            let value = try #require(try JSON.parse(Array(sent.utf8))["value"], "\(place): \(run)")
            let members = value.object?.members.map(\.name)
            let isTold = members.map { Set(words).isSuperset(of: $0) } ?? words.contains(value.text)
            #expect(
                isTold || value.isNull && (words.contains("null") || name == "run.output"),
                "\(place): \(value)")
        }
    }

    // MARK: - Triggers

    @Sendable private static func crons(_ table: FormatPage.Table) throws {
        let zone = try ZoneFiles().rules(of: "Europe/Berlin")
        for row in table.rows {
            let cron = try #require(row.code(0).first)
            let trigger = "triggers: [{type: schedule, cron: \"\(cron)\", timezone: Europe/Berlin}]"
            #expect(try PageRun.codes(PageRun.workflow(trigger)) == [], place(row))
            let occurrences = NextOccurrence(try CronExpression(cron), in: zone)
            var last = try #require(
                table.header[1].split(separator: " ").last.flatMap { Instant(rfc3339: String($0)) })
            for time in row.cells[1].components(separatedBy: ", ") {
                last = try #require(occurrences.next(after: last))
                #expect(Instant(rfc3339: time) == last, "\(time) is \(last.text): \(place(row))")
            }
        }
    }

    // MARK: - Expressions

    @Sendable private static func values(_ table: FormatPage.Table) throws {
        let body = try #require(FormatPage.code(in: table.introduction).last)
        for row in table.rows {
            let value = try #require(row.code(0).first)
            let run = try PageRun.simulate(PageRun.workflow("output: \(value)"), body: body)
            let output = try #require(run["output"], "\(place(row)): \(run)")
            #expect(JSON.text(output) == row.code(1).first, place(row))
        }
    }

    private static func computing(_ expression: String) -> String {
        PageRun.workflow(
            "steps: {row: {lua: \(JSON.text(.string(expression)))}}\noutput: << steps.row.output >>")
    }

    @Sendable private static func expressions(_ table: FormatPage.Table) throws {
        for row in table.rows {
            let run = try PageRun.simulate(computing(try #require(row.code(0).first)))
            let output = try #require(run["output"], "\(place(row)): \(run)")
            #expect(JSON.text(output) == row.code(1).first, "\(place(row)): \(run["error"] ?? .null)")
        }
    }

    @Sendable private static func failures(_ table: FormatPage.Table) throws {
        for row in table.rows {
            let faults = try PageRun.differences(
                computing(try #require(row.code(0).first)),
                "    expect: {outcome: failed, error: {step: row, message: \(JSON.text(.string(row.cells[1])))}}"
            )
            #expect(faults.isEmpty, "\(place(row)): \(faults)")
        }
    }

    // MARK: - Bodies

    @Sendable private static func readBodies(_ table: FormatPage.Table) throws {
        for row in table.rows {
            let type = row.cells[0] == "any" ? "application/json" : row.code(0).first
            let body = row.cells[1] == "nothing" ? [] : try bytes(written: #require(row.code(1).first))
            guard let expected = row.code(2).first else {
                #expect(row.cells[2] == "refused", place(row))
                #expect(throws: BodyProblem.self, place(row)) {
                    try BodyReader.read(body, contentType: type)
                }
                continue
            }
            try #expect(JSON.text(BodyReader.read(body, contentType: type)) == expected, place(row))
            // Both ways in: as what starts a run, and as an answer.
            let headers = type.map { "headers: {content-type: '\($0)'}, " } ?? ""
            let given = "{base64: '\(Base64.encode(body))'}"
            let workflow = PageRun.workflow(
                """
                triggers: [{type: webhook}]
                steps: {ask: {request: {url: "https://a.example/"}}}
                output: [<< trigger.body >>, << steps.ask.response.body >>]
                """)
            let answer = type == nil && !body.isEmpty ? "headers: {content-type: ''}, " : headers
            let faults = try PageRun.differences(
                workflow,
                """
                    trigger: {\(headers)raw_body: \(given)}
                    mocks: {ask: {status: 200, \(answer)body: \(given)}}
                    expect: {outcome: succeeded, output: [\(expected), \(expected)]}
                """)
            #expect(faults.isEmpty, "\(place(row)): \(faults)")
        }
    }

    /// `\r`, `\n` and `\xE9` stand for those bytes; `\u` and all else for itself.
    private static func bytes(written text: String) -> [UInt8] {
        var out: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\"), let next = rest.first else {
                out.append(byte)
                continue
            }
            switch next {
            case UInt8(ascii: "r"): out.append(0x0D)
            case UInt8(ascii: "n"): out.append(0x0A)
            case UInt8(ascii: "x"):
                out += Hex.decode(String(decoding: rest.dropFirst().prefix(2), as: UTF8.self)) ?? []
                rest = rest.dropFirst(2)
            default:
                out.append(byte)
                continue
            }
            rest = rest.dropFirst()
        }
        return out
    }

    // MARK: - Steps

    /// `succeeds when`: each type with one item that fails and one that succeeds.
    @Sendable private static func strategies(_ table: FormatPage.Table) throws {
        let outcomes = ["fan_out": "failed", "batch": "failed", "scatter": "succeeded", "race": "succeeded"]
        #expect(table.rows.map { $0.code(0).first ?? "" }.sorted() == outcomes.keys.sorted())
        for row in table.rows {
            let type = row.code(0).first ?? ""
            let size = type == "batch" ? ", size: 1, concurrency: 2" : ""
            let workflow = PageRun.workflow(
                """
                steps:
                  one:
                    strategy: {type: \(type), over: 2\(size)}
                    request: {url: "https://a.example/<< index >>"}
                """)
            let run = try PageRun.simulate(
                workflow, answers: "mocks: {one/1: {status: 400}, one/2: {status: 200, took: 1s}}")
            #expect(run["outcome"]?.text == outcomes[type], place(row))
            #expect(run["elapsed_ms"] == 1000, "what is in flight is let finish: \(place(row))")
        }
    }

    @Sendable private static func addresses(_ table: FormatPage.Table) throws {
        let body = try #require(FormatPage.code(in: table.introduction).last)
        for row in table.rows {
            let url = try #require(row.code(0).first)
            let run = try PageRun.simulate(
                PageRun.workflow("steps:\n  one:\n    request:\n      url: \(url)"), body: body)
            #expect(run["requests"]?[0]?["url"]?.string == row.code(1).first, "\(place(row)): \(run)")
            if row.cells[1] == "none" { #expect(run["error"]?["code"] == "invalid_request", place(row)) }
        }
    }

    @Sendable private static func queries(_ table: FormatPage.Table) throws {
        let body = try #require(FormatPage.code(in: table.introduction).last)
        let address = "https://shop.example.com/items"
        for row in table.rows {
            let query = try #require(row.code(0).first)
            let run = try PageRun.simulate(
                PageRun.workflow(
                    "steps:\n  one:\n    request:\n      url: \(address)\n      query: \(query)"),
                body: body)
            let expected = row.code(1).first.map { address + $0 }
            #expect(run["requests"]?[0]?["url"]?.string == expected, "\(place(row)): \(run)")
            if expected == nil { #expect(run["error"]?["code"] == "invalid_request", place(row)) }
        }
    }

    @Sendable private static func bodies(_ table: FormatPage.Table) throws {
        for row in table.rows {
            let body = try #require(row.code(0).first)
            for (index, type) in [
                (1, ""), (2, "headers: {Content-Type: application/x-www-form-urlencoded}, "),
            ] {
                let run = try PageRun.simulate(
                    PageRun.workflow(
                        "steps: {one: {request: {method: POST, url: https://a.example, \(type)body: \(body)}}}"
                    ))
                let sent = run["requests"]?[0]
                #expect(sent?["body"]?.string == row.code(index).first, "\(place(row)): \(run)")
                let header = sent?["headers"]?.array?.first { $0[0]?.text.lowercased() == "content-type" }?[1]
                let expected =
                    index == 2
                    ? "application/x-www-form-urlencoded"
                    : body.hasPrefix("a") ? "text/plain" : "application/json"
                #expect(header?.text.hasPrefix(expected) ?? false, "\(place(row)): \(header ?? .null)")
            }
        }
    }

    @Sendable private static func sleeps(_ table: FormatPage.Table) throws {
        let begin = try #require(Instant(rfc3339: "2026-12-01T00:00:00Z"))
        for row in table.rows {
            let value = try #require(row.code(0).first)
            let run = try PageRun.simulate(
                PageRun.workflow("steps: [{sleep: \(value)}]"), answers: "at: 2026-12-01T00:00:00Z")
            let end = try #require(Instant(rfc3339: row.cells[1]), place(row))
            #expect(run["outcome"] == "succeeded", "\(place(row)): \(run)")
            #expect(run["elapsed_ms"]?.int == (end - begin).milliseconds, place(row))
        }
    }

    @Sendable private static func retries(_ table: FormatPage.Table) throws {
        for row in table.rows {
            let retry = try #require(row.code(0).first)
            let run = try PageRun.simulate(
                PageRun.workflow("steps: {one: {request: {url: https://a.example}, retry: \(retry)}}"),
                answers: "mocks: {one: {status: 503, times: 50}}")
            let times = (run["requests"]?.array ?? []).map { $0["after_ms"]?.int ?? -1 }
            let expected = row.cells[1].components(separatedBy: ", ").map { milliseconds($0) }
            #expect(times == expected, "\(place(row)): \(run)")
        }
    }

    private static func milliseconds(_ text: String) -> Int64 {
        text.matches(of: #/(\d+)([hms])/#).reduce(0) { sum, part in
            sum + (Int64(part.1) ?? 0) * ["h": 3_600_000, "m": 60_000, "s": 1000][part.2, default: 0]
        }
    }

    /// Steps that fail with a code, and what else the run is given.
    private static let failing: [String: (lines: String, answers: String)] = {
        let request = "steps: {one: {request: {url: https://a.example}}}"
        func computing(_ expression: String) -> (String, String) {
            ("steps: [{lua: \(JSON.text(.string(expression)))}]", "")
        }
        var failing = [
            "status": (request, "mocks: {one: {status: 404}}"),
            "unreadable_answer": (
                request.replacing("}}}", with: "}, retry: {max: 0}}}"),
                "mocks: {one: {error: unreadable_answer}}"
            ),
            "fail_when": (request.replacing("}}}", with: "}, response: {fail_when: 'true'}}}"), ""),
            "schema": (request.replacing("}}}", with: "}, response: {schema: {type: array}}}}"), ""),
            "invalid_request": (request.replacing("a.example", with: "a.example/<< null >>"), ""),
            "raised": computing("error('no')"), "not_a_value": computing("1 / 0"),
            "budget_exceeded": computing("while true do end return 1"),
            "memory_exceeded": computing("('x'):rep(1 << 22)"), "fail": ("steps: [{fail: no}]", ""),
            "timed_out": ("steps: [{wait: {signal: a, timeout: 1s}}]", ""),
            "sleep_too_long": ("steps: [{sleep: {until: 2090-01-01}}]", ""),
            "no_winner": (
                """
                steps: [{strategy: {type: race, over: 2}, wait: {signal: a, timeout: 1s, on_timeout: reject}}]
                """, ""
            ), "too_many_items": ("steps: [{strategy: {type: race, over: << 100001 >>}, lua: '1'}]", ""),
            "too_many_steps": (
                """
                steps:
                  - strategy: {type: fan_out, over: << 1000 >>}
                    steps: [{strategy: {type: fan_out, over: << 1000 >>}, lua: '1'}]
                """, ""
            ), "run_timed_out": ("timeout: 1s\nsteps: [{sleep: 2s}]", ""),
            "cancelled": ("steps: [{sleep: 2s}]", "cancel: {at: 1s}"),
        ]
        for code in [
            "connection", "timeout", "tls", "interrupted", "response_too_large", "destination_refused",
        ] {
            failing[code] = (request, "mocks: {one: {error: \(code), times: 5}}")
        }
        let call = "steps: {one: {call: other}}"
        for code in [
            "unknown_workflow", "call_too_deep", "too_many_descendants", "call_deadlock", "child_skipped",
            "concurrency_key", "concurrency_key_missing",
        ] {
            failing[code] = (call, "mocks: {one: {error: {code: \(code)}}}")
        }
        failing["child_failed"] = (call, "mocks: {one: {error: {code: status}}}")
        failing["child_cancelled"] = (call, "mocks: {one: {error: {code: cancelled}}}")
        return failing
    }()

    /// What one run alone cannot come to; each is a matter of other tests.
    private static let failingElsewhere = [
        "secret_not_for_host": "Tests/EngineTests/RequestTests.swift",
        "run_too_large": "Tests/ServiceTests/Runtime/RunSizeTests.swift",
        "signal_unknown_run": "Tests/ServiceTests/Signals/SignalRuntimeTests.swift",
        "signal_not_awaited": "Tests/ServiceTests/Signals/SignalRuntimeTests.swift",
        "signal_mailbox_full": "Tests/ServiceTests/Runtime/FormatExampleTests.swift",
        "run_stuck": "Tests/ServiceTests/Runtime/StuckRunTests.swift",
    ]

    /// Codes of errors as the engine and the runtime write them down.
    private static func codesInSources() throws -> Set<String> {
        var found: Set<String> = []
        for folder in ["Sources/Core/Engine", "Sources/Service/Runtime"] {
            for file in try FileManager.default.contentsOfDirectory(atPath: Repository.path(folder)) {
                let text = try String(contentsOfFile: Repository.path("\(folder)/\(file)"), encoding: .utf8)
                found.formUnion(text.matches(of: #/StepError\(\s*code: "([a-z_]+)"/#).map { String($0.1) })
            }
        }
        return found
    }

    @Sendable private static func errors(_ table: FormatPage.Table) throws {
        let shown = table.rows.flatMap { $0.code(0) }
        #expect(Set(shown) == Set(failing.keys).union(failingElsewhere.keys).union(["secret_missing"]))
        for (code, file) in failingElsewhere {
            #expect(
                try String(contentsOfFile: Repository.path(file), encoding: .utf8).contains(code), "\(file)")
        }
        for row in table.rows {
            for code in row.code(0) {
                guard let (lines, answers) = failing[code] else { continue }
                let run = try PageRun.simulate(
                    PageRun.workflow(lines), answers: answers.isEmpty ? "mocks: []" : answers)
                #expect(run["error"]?["code"]?.text == code, "\(place(row)): \(run)")
            }
        }
        // A child whose record is gone is told as `child_failed`.
        let written = try codesInSources().subtracting(["run_deleted"])
        #expect(written.count > 15 && written.isSubset(of: shown), "\(written.subtracting(shown))")
        // Simulating, every secret has a value.
        let faults = try PageRun.differences(
            computing("secrets.MISSING"), "    expect: {error: {code: secret_missing}}")
        #expect(faults.isEmpty, "\(faults)")
    }

    @Sendable private static func schemas(_ table: FormatPage.Table) throws {
        for row in table.rows {
            let schema = try #require(row.code(0).first)
            let verdict = row.cells[2] == "yes" ? "accepted" : "unfit"
            let faults = try PageRun.differences(
                PageRun.workflow("triggers: [{type: http, schema: given}]\nschemas: {given: \(schema)}"),
                "    trigger: {raw_body: \(JSON.text(.string(row.code(1).first ?? "")))}\n    expect: {trigger: \(verdict)}"
            )
            #expect(faults.isEmpty, "\(place(row)): \(faults)")
        }
    }
}
