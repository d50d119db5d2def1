import Engine
import Ports
import Storage
import Testing
import Values
import Workflow

@Suite("Sensitive answers (I9)")
struct SensitiveTests {
    private static let token = "tok-9f8e7d6c5b4a"

    /// Turns bytes around, and checks the place.
    private struct Mirror: JournalSealer {
        func seal(_ plaintext: [UInt8], for place: String) -> [UInt8] {
            Array((place + "|").utf8).map { $0 ^ 0x55 } + plaintext.map { $0 ^ 0x55 }
        }

        func open(_ sealed: [UInt8], for place: String) -> [UInt8]? {
            let plain = sealed.map { $0 ^ 0x55 }
            let prefix = Array((place + "|").utf8)
            return plain.starts(with: prefix) ? Array(plain.dropFirst(prefix.count)) : nil
        }
    }

    private static let flow = """
        steps:
          login:
            on_error: continue
            request: {method: POST, url: https://id.example/token}
            response: {sensitive: [body.access_token, "body.keys[*].secret", headers.x-token], fail_when: response.body.access_token == null}
          use:
            after: login
            on_error: continue
            request:
              url: https://api.example/
              headers: {X-Keys: "<< steps.login.response.body.keys[2].secret >>", X-T: "<< steps.login.response.headers['x-token'] >>"}
              auth: {bearer: << steps.login.response.body.access_token >>}
          derive: {after: use, lua: "return {auth = 'Bearer ' .. steps.login.response.body.access_token, n = 1}"}
          use_derived: {after: derive, request: {url: https://api.example/, headers: {Authorization: << steps.derive.output.auth >>}}}
          each:
            after: use_derived
            strategy: {type: fan_out, over: << steps.login.response.body.keys >>}
            request: {url: https://api.example/, headers: {X-Key: << item.secret >>}}
          child: {after: each, call: other, input: {token: << steps.login.response.body.access_token >>, n: 2}}
        output: {token: << steps.login.response.body.access_token >>, n: << steps.derive.output.n >>}
        """

    private static let answer: Value = [
        "access_token": .string(token), "scope": "all",
        "keys": [["id": 1, "secret": "first-key-1"], ["id": 2, "secret": "second-key-2"]],
    ]

    private static let secrets = [token, "first-key-1", "second-key-2", "header-token-3"]

    private func login(_ play: inout Play) {
        play.answer("login", 200, Self.answer, headers: [HTTPHeader("X-Token", "header-token-3")])
    }

    private func stored(_ play: Play, by sealer: (any JournalSealer)?) -> [StoredEntry] {
        play.records.map { $0.stored(of: play.machine.state.run, by: sealer) }
    }

    private func crash(_ play: inout Play) throws {
        let run = play.machine.state.run
        let records = try stored(play, by: Mirror()).map {
            try JournalRecord(stored: $0, of: run, by: Mirror())
        }
        play.machine = RunMachine(run: run, plan: play.plan, records: records)
        play.feed(.recovered(at: play.now))
    }

    private func expectNothingShown(_ play: Play) {
        var texts = stored(play, by: Mirror()).map {
            String(decoding: $0.facts + ($0.body ?? []), as: UTF8.self)
        }
        texts.append(JSON.text(.object(play.machine.view(errorsIn: play.records))))
        for outcome in play.finished { texts.append("\(outcome)") }
        for text in texts {
            for secret in Self.secrets { #expect(!text.contains(secret), "\(secret) in \(text)") }
        }
    }

    @Test("a later step uses the real values, before and after a crash, and no entry and no view has them")
    func valuesAreUsedAndNotShown() throws {
        for crashes in [false, true] {
            var play = try Play(Self.flow)
            play.begin()
            login(&play)
            if crashes { try crash(&play) }
            let sent = try play.request("use")
            #expect(sent.headers["authorization"] == "Bearer \(Self.token)")
            #expect(sent.headers["x-keys"] == "second-key-2" && sent.headers["x-t"] == "header-token-3")
            // The provider tells what it was shown.
            play.answer(
                "use", 400,
                [
                    "seen": .string("Bearer \(Self.token)"),
                    "b64": .string(Base64.encode(Array(Self.token.utf8))),
                ])
            if crashes { try crash(&play) }
            #expect(try play.request("use_derived").headers["authorization"] == "Bearer \(Self.token)")
            play.answer("use_derived")
            if crashes { try crash(&play) }
            #expect(try play.request("each/1").headers["x-key"] == "first-key-1")
            #expect(try play.request("each/2").headers["x-key"] == "second-key-2")
            play.answer("each/1")
            play.answer("each/2")
            if crashes { try crash(&play) }
            let call = try #require(play.calls.last)
            #expect(call.input == ["token": "[sensitive]", "n": 2])
            #expect(call.sensitive == [SensitivePart(place: [.name("token")], value: .string(Self.token))])
            play.called("child", child: 99)
            play.childEnds(
                "child", child: 99, RunOutcome(status: .succeeded, output: ["t": .string(Self.token)]))
            #expect(
                play.outcome?.status == .succeeded
                    && play.outcome?.output == ["token": "[sensitive]", "n": 1])
            expectNothingShown(play)
        }
    }

    @Test("a child reads the real values of its input, sealed in its own journal")
    func childReadsInput() throws {
        var play = try Play(
            "steps:\n  a: {request: {url: https://a.example/, headers: {X-T: << trigger.body.token >>}}}\noutput: << trigger.body >>"
        )
        var start = RunStart(
            triggerKind: "call", headers: [HTTPHeader("content-type", "application/json")], query: [],
            body: Array(#"{"token":"[sensitive]","n":2}"#.utf8), at: play.now, tenantName: "Acme",
            externalCustomerID: nil)
        start.sensitive = [SensitivePart(place: [.name("body"), .name("token")], value: .string(Self.token))]
        play.feed(.started(start, isFunded: true))
        try crash(&play)
        #expect(try play.request("a").headers["x-t"] == Self.token)
        play.answer("a", 200, ["echo": .string(Self.token)])
        #expect(play.outcome?.output == ["token": "[sensitive]", "n": 2])
        expectNothingShown(play)
    }

    @Test("a body that has no places is sensitive as a whole, and an empty path is all of it")
    func wholeBodies() throws {
        for (path, type, body) in [
            ("body.token", "text/plain", "the token is \(Self.token)"),
            ("body", "application/json", #"{"a":"\#(Self.token)"}"#),
            ("body.access_token", "application/x-www-form-urlencoded", "access_token=\(Self.token)&scope=a"),
        ] {
            var play = try Play(
                "steps:\n  a: {request: {url: https://a.example/}, response: {sensitive: \(path)}}\n  b: {after: a, request: {method: POST, url: https://b.example/, body: << steps.a.response.body >>}}"
            )
            play.begin()
            play.end(
                "a",
                .success(
                    OutboundResponse(
                        status: 200, headers: [HTTPHeader("Content-Type", type)], body: Array(body.utf8))))
            try crash(&play)
            #expect(
                String(decoding: try play.request("b").body, as: UTF8.self).contains(Self.token), "\(type)")
            expectNothingShown(play)
        }
    }

    @Test("an error of the step itself shows none of it")
    func errorsShowNothing() throws {
        for (status, response) in [
            (500, "{sensitive: body.access_token}"),
            (200, "{sensitive: body.access_token, fail_when: 'error(response.body.access_token)'}"),
            (
                200,
                "{sensitive: body.access_token, schema: {properties: {access_token: {const: other}, copy: {enum: [other]}}}}"
            ),
        ] {
            var play = try Play(
                "steps:\n  a: {request: {url: https://a.example/}, retry: {max: 0}, response: \(response)}")
            play.begin()
            play.answer(
                "a", status, ["access_token": .string(Self.token), "copy": .string("x\(Self.token)")])
            #expect(play.outcome?.status == .failed)
            expectNothingShown(play)
        }
    }

    @Test("what is sealed for another entry, or with another key, does not open")
    func foreignSealsDoNotOpen() throws {
        var play = try Play(Self.flow)
        play.begin()
        login(&play)
        let entries = stored(play, by: Mirror())
        let login = try #require(entries.first { $0.kind == "step.succeeded" })
        #expect(throws: JournalProblem.self) {
            _ = try JournalRecord(stored: login, of: RunID(number: 8), by: Mirror())
        }
        #expect(throws: Never.self) {
            _ = try JournalRecord(stored: login, of: play.machine.state.run, by: Mirror())
        }
        let facts = try JSON.parse(login.facts)
        #expect(
            facts["sensitive"]
                == ["headers.x-token", "body.access_token", "body.keys[1].secret", "body.keys[2].secret"])
    }

    @Test("a fork takes sealed values over, and a new input has none of the old one's")
    func forksKeepThem() throws {
        var play = try Play(
            Self.flow.replacing("on_error: continue\n    request:\n      url", with: "request:\n      url"))
        play.begin()
        login(&play)
        play.answer("use", 400)
        let wish = RunFork.Wish(
            kind: .fork, step: "use", tenantName: "Acme", externalCustomerID: nil, at: play.now)
        let fork = try RunFork(of: play.machine, records: play.records, onto: play.plan, wish)
        var second = Play(plan: play.plan, run: 8)
        second.feed(.forked(fork, isFunded: true))
        try crash(&second)
        #expect(try second.request("use").headers["authorization"] == "Bearer \(Self.token)")
        expectNothingShown(second)
    }

    @Test("places are read as they are written")
    func placesAreRead() {
        for (text, path) in [
            ("body", SensitivePath.body([])), ("body.a.b-c", .body([.name("a"), .name("b-c")])),
            ("body.a[*].b", .body([.name("a"), .each, .name("b")])), ("body[\"a.b\"]", .body([.name("a.b")])),
            ("body['a\u{301}']", .body([.name("a\u{301}")])),
            ("headers.X-Token", .header("x-token")), ("headers['x-t']", .header("x-t")),
        ] {
            #expect(SensitivePath(text) == path, "\(text)")
            #expect(SensitivePath(path.text) == path)
        }
        for text in [
            "", "token", "headers", "headers.a.b", "body.", "body..a", "body[1]", "body[*", "body['a]",
            "body a", "steps.a", "body\u{301}.a",
        ] {
            #expect(SensitivePath(text) == nil, "\(text)")
        }
    }

    @Test("ten thousand sensitive values cost a few searches for each text")
    func manyValues() {
        var texts = SensitiveTexts()
        for number in 0..<2_000 { texts.add([SensitivePart(place: [], value: .string("value-\(number)-x"))]) }
        #expect(texts.searchCount < 20)
    }
}
