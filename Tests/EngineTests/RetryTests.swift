import Engine
import Ports
import Testing
import Values

@Suite("Retries")
struct RetryTests {
    private static func workflow(_ retry: String, extra: String = "") -> String {
        "steps:\n  a:\n    request: {method: POST, url: https://a.example/}\n    retry: {\(retry)}\n\(extra)"
    }

    /// Waiting times in milliseconds of a step that always answers 503, until it fails for good.
    private func delays(_ retry: String, run: Int64 = 7, headers: [HTTPHeader] = []) throws -> [Int64] {
        var play = try Play(Self.workflow(retry), run: run)
        play.begin()
        var delays: [Int64] = []
        while play.outcome == nil, delays.count < 200 {
            let lines = play.answer("a", 503, headers: headers)
            guard lines.contains(where: { $0.hasPrefix("wake") }), let wake = play.wakes.last else { break }
            delays.append((wake.at - play.now).milliseconds)
            #expect(play.retry("a") == ["send a#\(delays.count + 1)"])
        }
        return delays
    }

    @Test(
        "each backoff grows as it says and is cut at max_delay",
        arguments: [
            ("max: 4, delay: 100ms, backoff: exponential, jitter: none", [100, 200, 400, 800]),
            (
                "max: 5, delay: 1s, backoff: exponential, max_delay: 3s, jitter: none",
                [1000, 2000, 3000, 3000, 3000]
            ),
            ("max: 3, delay: 250ms, backoff: linear, jitter: none", [250, 500, 750]),
            ("max: 3, delay: 2s, backoff: fixed, jitter: none", [2000, 2000, 2000]),
            ("max: 0", []),
        ] as [(String, [Int64])])
    func backoffGrows(policy: String, expected: [Int64]) throws {
        #expect(try delays(policy) == expected)
    }

    @Test("a hundred tries stay within max_delay and do not overflow")
    func manyTriesAreBounded() throws {
        let delays = try delays("max: 100, delay: 1s, max_delay: 1h, jitter: none")
        #expect(delays.count == 100)
        #expect(delays.allSatisfy { $0 <= 3_600_000 && $0 > 0 })
        #expect(delays.last == 3_600_000)
    }

    @Test("full jitter lies between zero and the delay, differs between runs, and is the same each time")
    func jitterIsBoundedAndDeterministic() throws {
        let policy = "max: 3, delay: 10s, backoff: fixed"
        var seen: Set<Int64> = []
        for run in 1...40 as ClosedRange<Int64> {
            let first = try delays(policy, run: run)
            #expect(try delays(policy, run: run) == first)
            #expect(first.allSatisfy { (0...10_000).contains($0) })
            seen.formUnion(first)
        }
        #expect(seen.count > 100)
        #expect(seen.contains { $0 < 2500 } && seen.contains { $0 > 7500 })
    }

    @Test("the default is four more tries from one second with jitter")
    func defaultPolicy() throws {
        var play = try Play("steps:\n  a: {request: {url: https://a.example/}}")
        play.begin()
        for attempt in 1...4 {
            play.answer("a", 503)
            let wait = try #require(play.wakes.last).at - play.now
            #expect(wait >= .zero && wait <= .seconds(1 << (attempt - 1)))
            play.retry("a")
        }
        #expect(play.answer("a", 503) == ["a failed: status", "finished: failed", "finish failed"])
        #expect(play.sent.map(\.attempt) == [1, 2, 3, 4, 5])
    }

    @Test(
        "Retry-After is obeyed up to a day, in seconds or as a date; what asks for no wait or is neither is passed over",
        arguments: [
            ("7", 7000), ("86400", 86_400_000), ("86401", 86_400_000), ("999999999", 86_400_000),
            ("9223372036854775807", 86_400_000), ("99999999999999999999999999", 86_400_000), ("0", 50),
            ("000", 50), ("-5", 50), ("+5", 50), ("1.5", 50), ("1e3", 50), ("0x10", 50), ("soon", 50),
            ("", 50), ("5, 6", 50), ("٣", 50), ("Thu, 01 Jan 2026 00:00:30 GMT", 29_990),
            ("Thursday, 01-Jan-26 00:00:30 GMT", 29_990), ("Thu Jan  1 00:00:30 2026", 29_990),
            ("Thu, 01 Jan 2026 00:00:00 GMT", 50), ("Wed, 31 Dec 2025 23:59:59 GMT", 50),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 50), ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400_000),
            ("2026-01-01T00:00:30Z", 50),
        ]
            as [(String, Int64)])
    func retryAfterIsObeyed(value: String, expected: Int64) throws {
        let delays = try delays(
            "max: 1, delay: 50ms, jitter: none", headers: [HTTPHeader("Retry-After", value)])
        #expect(delays == [expected])
    }

    @Test(
        "an answer whose body cannot be read is no success, and repeated as one that broke off",
        arguments: [("max: 1", true), ("on: [connection]", true), ("on: [5xx]", false), ("max: 0", false)])
    func unreadableAnswer(policy: String, isRetried: Bool) throws {
        var play = try Play(Self.workflow(policy))
        play.begin()
        var response = OutboundResponse(status: 200, headers: [], body: [])
        response.fault = "its compressed data is broken"
        let lines = play.end("a", .success(response))
        #expect(lines.first == (isRetried ? "a#1 failed: unreadable_answer" : "a failed: unreadable_answer"))
    }

    @Test("an answer whose status is a failure is one by its status, though its body cannot be read")
    func unreadableFailure() throws {
        var play = try Play(Self.workflow("max: 2"))
        play.begin()
        var response = OutboundResponse(status: 402, headers: [], body: [])
        response.fault = "its compressed data is broken"
        #expect(play.end("a", .success(response)).first == "a failed: status")
        #expect(play.error(of: "a")?.message.contains("its compressed data is broken") == true)
    }

    @Test(
        "an attempt that no other one follows gets a connection of its own",
        arguments: [
            ("max: 0", [false]), ("max: 2", [true, true, false]), ("on: [5xx, timeout]", [false]),
            ("max: 3, jitter: none, delay: 10s, until: 15s", [true, false]),
            ("max: 3, jitter: none, delay: 10s, until: 5s", [false]),
        ] as [(String, [Bool])])
    func ownConnection(policy: String, expected: [Bool]) throws {
        var play = try Play(Self.workflow(policy))
        play.begin()
        for attempt in expected.indices {
            #expect(play.sent.last?.request.mayReuseConnection == expected[attempt], "attempt \(attempt + 1)")
            if attempt + 1 < expected.count {
                play.end("a", .failure(.keptConnectionClosed))
                play.retry("a")
            }
        }
    }

    @Test("Stripe-Should-Retry decides against the policy, both ways")
    func serverDecides() throws {
        var refused = try Play(Self.workflow("max: 3"))
        refused.begin()
        #expect(
            refused.answer("a", 500, headers: [HTTPHeader("Stripe-Should-Retry", "false")]).first
                == "a failed: status")
        var asked = try Play(Self.workflow("max: 3"))
        asked.begin()
        #expect(
            asked.answer("a", 402, headers: [HTTPHeader("stripe-should-retry", "true")]).first
                == "a#1 failed: status")
    }

    @Test(
        "the policy's statuses, classes and reasons decide",
        arguments: [
            ("on: [429]", 429, true), ("on: [429]", 500, false), ("on: [5xx]", 599, true),
            ("on: [5xx]", 499, false),
            ("on: [4xx]", 409, true), ("max: 2", 408, true), ("max: 2", 425, true), ("max: 2", 404, false),
            ("on: [connection]", 503, false),
        ])
    func statusDecides(policy: String, status: Int, isRetried: Bool) throws {
        var play = try Play(Self.workflow(policy))
        play.begin()
        let lines = play.answer("a", status)
        #expect(lines.first == (isRetried ? "a#1 failed: status" : "a failed: status"))
    }

    @Test(
        "connection errors and timeouts are told apart, and what can never succeed is not tried again",
        arguments: [
            ("on: [connection]", .connection(reason: "refused"), true), ("on: [connection]", .timeout, false),
            ("on: [connection]", .interrupted(reason: "reset"), true),
            ("on: [timeout]", .timeout, true), ("on: [timeout]", .connection(reason: "refused"), false),
            ("max: 2", .destinationRefused, false), ("max: 2", .tls(reason: "expired"), false),
            ("max: 2", .responseTooLarge(limit: "1"), false),
            ("max: 2", .invalidRequest(reason: "no host"), false),
        ] as [(String, TransportFailure, Bool)])
    func failureDecides(policy: String, failure: TransportFailure, isRetried: Bool) throws {
        var play = try Play(Self.workflow(policy))
        play.begin()
        let lines = play.end("a", .failure(failure))
        #expect(lines.first == (isRetried ? "a#1 failed: \(failure.label)" : "a failed: \(failure.label)"))
    }

    @Test("an expression sees the body: of Resend's two 409s only the concurrent one is tried again")
    func expressionSeesTheBody() throws {
        let policy =
            "on: [\"response.status == 409 and response.body.name == 'concurrent_idempotent_requests'\"]"
        var concurrent = try Play(Self.workflow(policy))
        concurrent.begin()
        #expect(
            concurrent.answer("a", 409, ["name": "concurrent_idempotent_requests"]).first
                == "a#1 failed: status")
        var invalid = try Play(Self.workflow(policy))
        invalid.begin()
        #expect(invalid.answer("a", 409, ["name": "invalid_idempotent_request"]).first == "a failed: status")
    }

    @Test("an expression that raises an error does not repeat; the step then fails visibly")
    func brokenConditionFails() throws {
        var play = try Play(Self.workflow("on: [{lang: lua, expr: \"error('x')\"}]"))
        play.begin()
        #expect(play.answer("a", 500).first == "a failed: status")
    }

    @Test("a step that fails for good ends the waiting of others")
    func failureEndsWaiting() throws {
        var play = try Play(
            "steps:\n  a: {request: {url: https://a.example/}}\n  b: {request: {url: https://b.example/}}")
        play.begin()
        play.answer("a", 503)
        #expect(play.answer("b", 404) == ["b failed: status", "finished: failed", "finish failed"])
        #expect(play.retry("a") == [])
    }

    @Test("an attempt that fails while the run is ending is its last")
    func endingRunDoesNotRetry() throws {
        var play = try Play(
            "steps:\n  a: {request: {url: https://a.example/}}\n  b: {request: {url: https://b.example/}}")
        play.begin()
        play.answer("b", 404)
        #expect(play.answer("a", 503) == ["a failed: status", "finished: failed", "finish failed"])
    }

    @Test("an alarm of an earlier wait does not shorten a later one")
    func staleAlarmIsIgnored() throws {
        var play = try Play(Self.workflow("max: 3, delay: 10s, jitter: none"))
        play.begin()
        play.answer("a", 503)
        play.retry("a")
        play.answer("a", 503)
        #expect(play.feed(.retryDue(step: 0, at: play.now)) == [])
        #expect(play.steps["a"] == "waiting_retry")
        #expect(play.retry("a") == ["send a#3"])
    }

    @Test("every attempt carries the same key and body and its own number")
    func keyStaysTheSame() throws {
        var play = try Play(
            "steps:\n  a:\n    request: {method: POST, url: https://a.example/, body: {n: << trigger.body.n >>}}\n    retry: {max: 2}"
        )
        play.begin(body: ["n": 1])
        for _ in 0..<2 {
            play.answer("a", 503)
            play.retry("a")
        }
        let keys = Set(play.sent.map { $0.request.headers["idempotency-key"] })
        #expect(keys == ["\(RunID(number: 7))/a"])
        #expect(Set(play.sent.map(\.request.body)).count == 1)
        #expect(play.sent.map { $0.request.headers["millrace-attempt"] } == ["1", "2", "3"])
    }

    @Test("a schedule gives the exact waits, one after the other, and no more")
    func scheduleIsExact() throws {
        let policy = "schedule: [5m, 5m, 5m, 10m, 10m, 30m, 30m, 30m, 1h, 1h, 1h, 1h, 1d, 1d, 1d, 1d]"
        let minutes: [Int64] = [5, 5, 5, 10, 10, 30, 30, 30, 60, 60, 60, 60, 1440, 1440, 1440, 1440]
        #expect(try delays(policy) == minutes.map { $0 * 60_000 })
    }

    @Test(
        "no try begins later than until after the end of the first",
        arguments: [("4h", 3), ("3h", 3), ("179m", 2), ("1ms", 0)])
    func untilEndsTheTries(until: String, count: Int) throws {
        var play = try Play(Self.workflow("schedule: [1h, 1h, 1h], until: \(until)"))
        play.begin()
        var tries = 0
        while play.answer("a", 503, took: .zero).contains(where: { $0.hasPrefix("wake") }), tries < 9 {
            tries += 1
            play.retry("a")
        }
        #expect(tries == count)
        #expect(play.outcome?.status == .failed)
    }

    @Test("the end of the first try still counts after a crash")
    func untilSurvivesACrash() throws {
        var play = try Play(Self.workflow("schedule: [1h, 1h, 1h], until: 90m"))
        play.begin()
        play.answer("a", 503)
        try play.crash()
        #expect(play.retry("a") == ["send a#2"])
        #expect(play.answer("a", 503).first == "a failed: status")
    }
}
