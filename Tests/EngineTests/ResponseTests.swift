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
        "a body is read by its type",
        arguments: [
            ("application/json", "{\"id\": \"1\"}", "1"), ("application/hal+json", "{\"id\": \"1\"}", "1"),
            ("application/x-www-form-urlencoded", "id=a+b%21", "a b!"),
            ("application/json", "", .null), ("text/html", "{\"id\": \"1\"}", .null),
        ] as [(String, String, Value)])
    func bodyIsRead(type: String, body: String, id: Value) throws {
        var play = try play("{accept: [402]}")
        let response = OutboundResponse(
            status: 200, headers: [HTTPHeader("CONTENT-TYPE", type)], body: Array(body.utf8))
        play.end("a", .success(response))
        #expect(play.outcome?.output[2] == id)
    }

    @Test(
        "an answer that says it is JSON and is none is no success, unless the step takes it unread",
        arguments: ["{\"id\": ", "{\"id\": 1}}", "<html></html>", "NaN", "\u{1F}\u{8B}", "'a'"])
    func brokenJSON(body: String) throws {
        for type in ["application/json", "application/hal+json; charset=utf-8", "APPLICATION/JSON"] {
            let response = OutboundResponse(
                status: 200, headers: [HTTPHeader("Content-Type", type)], body: Array(body.utf8))
            var typed = try Play(
                "steps:\n  a: {request: {url: https://a.example/}, retry: {max: 1, jitter: none}}")
            typed.begin()
            #expect(typed.end("a", .success(response)).first == "a#1 failed: unreadable_answer")
            typed.retry("a")
            #expect(typed.end("a", .success(response)).first == "a failed: unreadable_answer")
            for reading in ["text", "bytes"] {
                var unread = try Play(
                    "steps:\n  a: {request: {url: https://a.example/}, response: {body: \(reading)}}\noutput: << steps.a.response.body >>"
                )
                unread.begin()
                unread.end("a", .success(response))
                #expect(unread.outcome?.output == .string(body))
            }
        }
    }

    @Test("a body that the step takes as text is one, also if it could be read")
    func takenAsText() throws {
        var play = try Play(
            "steps:\n  a: {request: {url: https://a.example/}, response: {body: text}}\noutput: << steps.a.response.body >>"
        )
        play.begin()
        play.answer("a", 200, ["id": 1])
        #expect(play.outcome?.output == #"{"id":1}"#)
    }

    @Test("a status that is a failure is one by its status, whatever its body is")
    func brokenFailure() throws {
        var play = try Play("steps:\n  a: {request: {url: https://a.example/}}")
        play.begin()
        let response = OutboundResponse(
            status: 404, headers: [HTTPHeader("Content-Type", "application/json")], body: Array("<html>".utf8)
        )
        #expect(play.end("a", .success(response)).first == "a failed: status")
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
