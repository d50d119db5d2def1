import Engine
import Ports
import Testing
import Values

@Suite("Steps that signal and reply")
struct MessageStepTests {
    private static let sender = """
        steps:
          tell:
            signal: {run: << trigger.body.run >>, name: "got_<< trigger.body.what >>", body: {n: 1}}
          next: {after: tell, lua: return 1}
        """

    @Test("a signal goes out under the step's own key, and the step ends when it is stored there")
    func signalIsDelivered() throws {
        var play = try Play(Self.sender)
        #expect(play.begin(body: ["run": "run_x", "what": "it"]) == ["started", "signal got_it of tell"])
        let sent = try #require(play.signals.first)
        #expect(sent.run == "run_x" && sent.signal.id == "\(RunID(number: 7))/tell")
        #expect(sent.signal.body == ["n": 1] && play.steps["tell"] == "in_flight")
        #expect(play.feed(.delivered(step: 0, error: nil, at: play.now)).first == "tell succeeded")
        #expect(play.feed(.delivered(step: 0, error: nil, at: play.now)) == [])
        #expect(play.chargedMilliseconds == 0)
    }

    @Test("a signal that no run takes fails the step")
    func undeliveredFails() throws {
        var play = try Play(Self.sender)
        play.begin(body: ["run": "run_x", "what": "it"])
        let error = StepError(code: "signal_unknown_run", message: "none")
        #expect(
            play.feed(.delivered(step: 0, error: error, at: play.now)) == [
                "tell failed: signal_unknown_run", "finished: failed", "finish failed",
            ])
    }

    @Test("a crash before the outcome sends it again under the same id")
    func crashSendsAgain() throws {
        var play = try Play(Self.sender)
        play.begin(body: ["run": "run_x", "what": "it"])
        try play.crash()
        #expect(play.signals.count == 2 && Set(play.signals.map(\.signal)).count == 1)
    }

    @Test("a name that is none fails the step", arguments: ["It", "a-b", " ", "é", "a\n"])
    func badNameFails(name: String) throws {
        var play = try Play(Self.sender)
        play.begin(body: ["run": "run_x", "what": .string(name)])
        #expect(play.outcome?.status == .failed && play.signals.isEmpty)
    }

    private static func reply(_ fields: String) -> String {
        "steps:\n  - {id: r, reply: {\(fields)}}\n  - {id: nap, sleep: 1h}"
    }

    @Test("a reply is given once, with status, headers and a JSON body, and the run goes on")
    func replyIsGivenOnce() throws {
        var play = try Play(
            Self.reply("status: 201, headers: {X-Run: << run.id >>}, body: {a: << trigger.body.a >>}"))
        #expect(
            play.begin(body: ["a": 5]) == [
                "started", "r succeeded", "nap sleeps", "reply 201", "wake nap +3600000ms",
            ])
        let reply = try #require(play.replies.first)
        #expect(reply.headers["x-run"] == "\(RunID(number: 7))")
        #expect(reply.headers["content-type"] == "application/json")
        #expect(String(decoding: reply.body, as: UTF8.self) == "{\"a\":5}")
        try play.crash()
        #expect(play.replies.count == 1)
    }

    @Test("a text is sent as it is, a type of one's own is kept, and no body is empty")
    func replyBodies() throws {
        var text = try Play(Self.reply("body: hello"))
        text.begin()
        #expect(text.replies.first?.body == Array("hello".utf8))
        #expect(text.replies.first?.headers["content-type"] == "text/plain; charset=utf-8")
        var typed = try Play(Self.reply("headers: {content-type: text/csv}, body: \"a,b\""))
        typed.begin()
        #expect(typed.replies.first?.headers.count == 1)
        #expect(typed.replies.first?.headers["content-type"] == "text/csv")
        var empty = try Play(Self.reply("status: 204"))
        empty.begin()
        #expect(empty.replies == [RunReply(status: 204, headers: [], body: [])])
    }

    @Test(
        "control characters in a reply's header fail the step", arguments: ["a\r\nSet-Cookie: x", "\u{7f}"])
    func controlCharactersFail(value: String) throws {
        var play = try Play(Self.reply("headers: {X-A: << trigger.body.a >>}"))
        play.begin(body: ["a": .string(value)])
        #expect(play.outcome?.failedStep == "r" && play.replies.isEmpty)
    }
}
