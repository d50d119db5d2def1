import Engine
import Ports
import Storage
import Testing
import Values

@Suite("What an answer means")
struct ResponseTests {
    private func play(_ response: String, after: String = "") throws -> Play {
        var play = try Play(
            """
            schemas: {paid: {type: object, required: [id], properties: {id: {type: string}}}}
            steps:
              a:
                on_error: continue
                retry: {max: 0}
                request: {url: https://a.example/}
                response: \(response)
            output:
              - << steps.a.outcome >>
              - << steps.a.response.status >>
              - << steps.a.response.body.id >>
              - << steps.a.error.code >>
              - << steps.a.attempts >>
            """)
        play.begin()
        return play
    }

    @Test("an accepted status is a success and a branch, not a failure")
    func acceptedStatusSucceeds() throws {
        var play = try play("{accept: [402]}")
        play.answer("a", 402, ["id": "declined"])
        #expect(play.outcome?.output == ["succeeded", 402, "declined", .null, 1])
    }

    @Test("other statuses fail, with the answer there to be read", arguments: [301, 400, 404, 500])
    func otherStatusFails(status: Int) throws {
        var play = try play("{accept: [402]}")
        play.answer("a", status, ["id": "x"])
        #expect(play.outcome?.output == ["failed", .int(Int64(status)), "x", "status", 1])
    }

    @Test("`fail_when` sees the answer: Slack's `ok: false` is a failure")
    func failWhenDecides() throws {
        var bad = try play("{fail_when: response.body.ok == false}")
        bad.answer("a", 200, ["ok": false, "error": "channel_not_found"])
        #expect(bad.error(of: "a")?.code == "fail_when")
        #expect(bad.error(of: "a")?.message.contains("channel_not_found") == true)
        var good = try play("{fail_when: response.body.ok == false}")
        good.answer("a", 200, ["ok": true])
        #expect(good.error(of: "a") == nil)
    }

    @Test("a `fail_when` that is no truth value or raises an error fails the step")
    func brokenFailWhenFails() throws {
        var number = try play("{fail_when: response.status}")
        number.answer("a")
        #expect(number.error(of: "a")?.code == "not_a_value")
        var raising = try play("{fail_when: \"nothing.here.x()\"}")
        raising.answer("a")
        #expect(raising.error(of: "a")?.code == "raised")
    }

    @Test("a body that does not fit the schema fails the step for good")
    func schemaDecides() throws {
        var play = try play("{schema: paid}")
        #expect(play.answer("a", 200, ["id": 1]).first == "a failed: schema")
        #expect(play.error(of: "a")?.message.contains("id") == true)
        var good = try self.play("{schema: paid}")
        #expect(good.answer("a", 200, ["id": "ch_1"]).first == "a succeeded")
    }

    @Test("no answer at all leaves no response, only the error")
    func failureHasNoResponse() throws {
        var play = try play("{accept: [402]}")
        play.end("a", .failure(.timeout))
        #expect(play.outcome?.output == ["failed", .null, .null, "timeout", 1])
    }

    @Test(
        "a body is read by its type; what does not parse is text",
        arguments: [
            ("application/json", "{\"id\": \"1\"}", "1"), ("application/hal+json", "{\"id\": \"1\"}", "1"),
            ("application/x-www-form-urlencoded", "id=a+b%21", "a b!"),
            ("application/json", "{\"id\": ", .null),
            ("text/html", "{\"id\": \"1\"}", .null),
        ] as [(String, String, Value)])
    func bodyIsRead(type: String, body: String, id: Value) throws {
        var play = try play("{accept: [402]}")
        let response = OutboundResponse(
            status: 200, headers: [HTTPHeader("CONTENT-TYPE", type)], body: Array(body.utf8))
        play.end("a", .success(response))
        #expect(play.outcome?.output[2] == id)
    }

    @Test("cookies and connection headers are not kept; the others are, in lower case")
    func headersAreKept() throws {
        var play = try Play(
            "steps:\n  a: {request: {url: https://a.example/}}\noutput: \"<< steps.a.response.headers['x-id'] >>|<< steps.a.response.headers['set-cookie'] >>\""
        )
        play.begin()
        play.answer("a", 200, headers: [HTTPHeader("X-Id", "7"), HTTPHeader("Set-Cookie", "session=1")])
        #expect(play.outcome?.output == "7|")
        #expect(
            !play.records.contains { String(decoding: $0.stored.facts, as: UTF8.self).contains("session=1") })
    }

    @Test("an error's text is bounded")
    func errorIsBounded() throws {
        var play = try Play("steps:\n  a: {lua: \"error('é' .. trigger.body)\"}")
        play.begin(body: .string(String(repeating: "é", count: 5000)))
        #expect((1...1024).contains(play.error(of: "a")?.message.utf8.count ?? 0))
    }
}
