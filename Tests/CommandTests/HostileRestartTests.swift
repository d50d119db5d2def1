import Foundation
import Ports
import TestSupport
import Testing
import Values

@testable import Commands

/// Goal: whatever came in through the API, the file that a killed process has left says the same, and the run goes on.
@Suite("Hostile values across a restart of the program")
struct HostileRestartTests {
    private static let child = """
        name: other
        version: 1
        triggers: [{type: manual}]
        steps: [{lua: return trigger.body}]
        output: {body: << trigger.body >>, again: << steps.step_1.output >>}
        """
    /// A digest that tells bytes, texts and maps apart, which a view shows alike.
    private static func digest(of source: String) -> String {
        """
        |
              local function mark(v)
                if type(v) == 'string' then return 's' .. hex.encode(v) end
                if type(v) ~= 'table' then return type(v) .. tostring(v) end
                local parts = {}
                for k, item in pairs(v) do parts[#parts + 1] = hex.encode(tostring(k)) .. '=' .. mark(item) end
                return '{' .. table.concat(parts, ',') .. '}'
              end
              return crypto.sha256(mark(\(source)))
        """
    }
    private static let input = "{trigger.body, trigger.raw_body, trigger.query, trigger.headers}"
    private static let flow = """
        name: hostile
        version: 1
        triggers: [{type: http}, {type: webhook}]
        steps:
          - {id: raise, on_error: continue, lua: error(trigger.raw_body)}
          - id: take
            lua: >-
              return {body = trigger.body, raw = trigger.raw_body, query = trigger.query, headers = trigger.headers,
              list = {{trigger.query}, trigger.body}, token = run.token}
          - {id: call, call: other, input: {all: << steps.take.output >>, body: << trigger.body >>}}
          - id: early
            lua: \(digest(of: input))
          - {id: first, wait: go}
          - id: heard
            lua: \(digest(of: "{steps.first.signal}"))
          - {id: second, wait: go}
          - id: each
            strategy: {type: scatter, over: ["<< trigger.body >>", "<< steps.first.signal >>", "<< steps.second.signal >>"]}
            lua: "return {item = item, raw = trigger.raw_body}"
          - id: late
            lua: \(digest(of: input))
          - id: remembered
            lua: \(digest(of: "{steps.first.signal}"))
        output:
          first: << steps.take.output >>
          digests: << {steps.early.output, steps.heard.output} >>
          digests_now: << {steps.late.output, steps.remembered.output} >>
          now: {body: << trigger.body >>, raw: << trigger.raw_body >>, query: << trigger.query >>, headers: << trigger.headers >>}
          call: << steps.call.output >>
          each: << steps.each.items >>
        """

    /// A run as it is shown, with its journal.
    private struct Shown: Equatable {
        var view: Value
        var events: [Value]

        init(_ run: String, _ client: APIClient) throws {
            view = try client.call(.run, [run]).value
            events = try client.list(.events, [run], limit: 1_000).items
        }
    }

    private static func headers(_ values: inout HostileValues, _ type: String?) -> [HTTPHeader] {
        // Without a type the client says JSON by itself.
        [HTTPHeader("Content-Type", type ?? "application/octet-stream")]
            + values.headers().filter { $0.value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F } }
    }

    /// Starts a run by its API or its webhook; nil for what is refused before there is a run.
    private func start(
        _ seed: Int, _ values: inout HostileValues, _ tenant: String, _ client: APIClient
    ) throws -> String? {
        let body = values.body()
        let query = values.pairs().map { "\(Percent.encode($0.name))=\(Percent.encode($0.value))" }
        let path = seed % 2 == 0 ? "/api/workflows/hostile/trigger" : "/hooks/\(tenant)/hostile"
        let answer = try client.attempt(
            "POST", path + (query.isEmpty ? "" : "?" + query.joined(separator: "&")), body: body.bytes,
            headers: Self.headers(&values, body.type), mayBeText: true)
        #expect([202, 400, 413].contains(answer.status), "seed \(seed): \(answer.value)")
        return answer.status == 202 ? answer.value["run_id"]?.string : nil
    }

    /// A signal with a key or with a token.
    private func signal(
        _ run: String, _ values: inout HostileValues, token: String?, _ client: APIClient
    ) throws {
        let path = token.map { "/signals/\(run)/\($0)/go" } ?? "/api/runs/\(run)/signals/go"
        for _ in 0..<20 {
            let body = values.body()
            let answer = try client.attempt(
                "POST", path, body: body.bytes, headers: Self.headers(&values, body.type), mayBeText: true)
            #expect([202, 400].contains(answer.status), "\(run): \(answer.value)")
            if answer.status == 202 { return }
        }
        Issue.record("no signal is taken")
    }

    private func wait(_ run: String, for state: String, _ client: APIClient) throws {
        for _ in 0..<500 {
            if try client.call(.run, [run]).value["status"]?.string == state { return }
            usleep(10_000)
        }
        Issue.record("\(run) is not \(state): \(try client.call(.run, [run]).value)")
    }

    @Test("runs that were taken are shown the same after kill -9, take signals, are forked, and succeed")
    func restart() throws {
        let fixture = try ServerFixture()
        try fixture.start()
        let tenant = try fixture.makeTenant()
        let client = try fixture.client(key: tenant.key)
        for source in [Self.child, Self.flow] {
            let name = source.contains("hostile") ? "hostile" : "other"
            _ = try client.call("PUT", "/api/workflows/\(name)", body: Array(source.utf8))
        }
        var runs: [String] = []
        for seed in 0..<60 {
            var values = HostileValues(seed: UInt64(seed))
            if let run = try start(seed, &values, tenant.id, client) { runs.append(run) }
        }
        try #require(runs.count > 20)
        for (number, run) in runs.enumerated() {
            try wait(run, for: "waiting", client)
            var values = HostileValues(seed: UInt64(1_000 + number))
            try signal(run, &values, token: nil, client)
            try wait(run, for: "waiting", client)
        }
        for (number, run) in runs.enumerated() where number % 4 == 0 {
            var values = HostileValues(seed: UInt64(2_000 + number))
            let order: Value = ["step": "take", "input": values.value()]
            let forked = try client.call("POST", "/api/runs/\(run)/fork", body: JSON.bytes(order)).value
            let fork = try #require(forked["run_id"]?.string)
            try wait(fork, for: "waiting", client)
            var next = HostileValues(seed: UInt64(3_000 + number))
            try signal(fork, &next, token: nil, client)
            try wait(fork, for: "waiting", client)
            runs.append(fork)
        }
        let before = try runs.map { try Shown($0, client) }
        fixture.kill()
        try fixture.start()
        for (run, shown) in zip(runs, before) { #expect(try Shown(run, client) == shown) }
        #expect(try client.call("GET", "/readyz").value["stuck"] == [])
        try finish(runs, client)
    }

    private func finish(_ runs: [String], _ client: APIClient) throws {
        for (number, run) in runs.enumerated() {
            let steps = try client.call(.run, [run]).value["steps"]?.array ?? []
            let token = steps.first { $0["id"] == "take" }?["output"]?["token"]?.string
            var values = HostileValues(seed: UInt64(4_000 + number))
            try signal(run, &values, token: number % 2 == 0 ? token : nil, client)
            try wait(run, for: "succeeded", client)
            let output = try client.call(.run, [run]).value["output"] ?? .null
            // A member that is null is none in a table of Lua's.
            let first = output["first"] ?? .null
            for name in ["body", "raw", "query", "headers"] {
                #expect(output["now"]?[name] == first[name] ?? .null, "\(run): \(name)")
            }
            #expect(output["digests"]?[0] != nil && output["digests"] == output["digests_now"], "\(run)")
            #expect(output["call"]?["body"]?["all"] == first)
            #expect(output["call"]?["again"] == output["call"]?["body"])
        }
    }
}
