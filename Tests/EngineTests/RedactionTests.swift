import Engine
import Ports
import Storage
import TestSupport
import Testing
import Values
import Workflow

@Suite("Redaction (I9, S11)")
struct RedactionTests {
    /// Needs escaping in JSON, in URLs and in base64's last group.
    private static let canary = "c4n\"a/ry é+ sec?ret\\7"

    /// The canary as it is and as encoders write it.
    private static let forms: [String] = [
        canary, Base64.encode(Array(canary.utf8)), Base64.encode(Array("user:\(canary)".utf8)),
        Base64.encode(Array("xy\(canary)".utf8)), Percent.encode(canary), Percent.encode(canary).lowercased(),
        Percent.encode(canary).replacing("%20", with: "+"), JSON.text(.string(canary)),
        JSON.text(.string(canary)).replacing("/", with: "\\/"),
        JSON.text(.string(canary)).replacing("é", with: "\\u00e9"),
    ]

    /// Twelve bytes from the canary's middle, in each form, so that a part of it counts as well.
    private func leaks(_ bytes: [UInt8]) -> [String] {
        let text = String(decoding: bytes, as: UTF8.self)
        var parts = ["sec?ret", "sec%3Fret", "sec%3fret"]
        for count in 0..<3 {
            let digits = Base64.encode([UInt8](repeating: 0x78, count: count) + Array(Self.canary.utf8))
            parts.append(String(digits.dropFirst(8).prefix(12)))
        }
        return parts.filter { text.contains($0) }
    }

    @Test("no form of a secret stays in a text", arguments: forms)
    func formIsMasked(form: String) {
        let redactor = Redactor(secrets: [Self.canary])
        let result = redactor.redact("before \(form) after \(form)")
        #expect(leaks(Array(result.utf8)).isEmpty, "\(result)")
        #expect(result.hasPrefix("before ") && result.contains("[secret]") && result.contains(" after "))
    }

    @Test("bodies, headers, errors, computed values and outputs carry no secret into any stored entry")
    func nothingStoredCarriesIt() throws {
        var play = try Play(
            """
            steps:
              post:
                on_error: continue
                request:
                  method: POST
                  url: https://a.example/
                  auth: {basic: {username: user, password: << secrets.KEY >>}}
              echo: {after: [post], on_error: continue, request: {url: https://b.example/}}
              compute:
                after: [echo]
                lua: |
                  return {secrets.KEY, base64.encode(secrets.KEY), ['k' .. secrets.KEY] = {x = secrets.KEY}}
              raise: {after: [compute], on_error: continue, lua: "error('at ' .. secrets.KEY)"}
              stop: {after: [raise], fail: 'because of << secrets.KEY >>'}
            """.replacing("return {secrets.KEY, base64.encode(secrets.KEY), [", with: "return {["),
            secrets: ["KEY": .init(value: Self.canary, hosts: [])])
        play.begin()
        let sent = try play.request("post")
        #expect(sent.headers["authorization"] == "Basic " + Base64.encode(Array("user:\(Self.canary)".utf8)))
        let response = OutboundResponse(
            status: 400,
            headers: [
                HTTPHeader("X-Echo", sent.headers["authorization"] ?? ""), HTTPHeader("Set-Cookie", "a=b"),
            ],
            body: Array(("not JSON " + Self.forms.joined(separator: " | ")).utf8))
        play.end("post", .success(response))
        play.end("echo", .failure(.destinationRefused))
        #expect(play.outcome?.status == .failed)
        for record in play.records {
            let stored = record.stored
            #expect(
                leaks(stored.facts).isEmpty, "\(stored.key): \(String(decoding: stored.facts, as: UTF8.self))"
            )
            #expect(leaks(stored.body ?? []).isEmpty, "\(stored.key)")
            _ = try JournalRecord(stored: stored)
        }
    }

    @Test("a secret read without being named is masked too")
    func unnamedReadingIsKnown() throws {
        let plan = try plan("steps:\n  a: {lua: 'local all = secrets; return all.KEY'}")
        #expect(plan.definition.secretNames.contains("*"))
    }

    /// The text of an error is searched whole and cut after that: wherever the cut falls, no part of a secret stays.
    @Test(
        "no part of a secret stays where an error's text is cut",
        arguments: ["s", "base64.encode(s)", "hex.encode(s)", "url.encode(s)", "json.encode({s})"])
    func errorsAreSearchedWhole(form: String) throws {
        let secret = "-----BEGIN KEY-----\nQ4naryQ4naryQ4naryQ4nary\n-----END KEY-----\n"
        let marks = ["Q4na", Base64.encode(Array("naryQ4".utf8)), Hex.encode(Array("Q4na".utf8))]
        for count in [0, 470, 490, 505, 600, 960, 1_000, 1_010, 1_020, 4_000, 4_090, 60_000] {
            var play = try Play(
                "steps:\n  a: {lua: \"local s = secrets.KEY error(('x'):rep(\(count)) .. \(form)) return 1\"}",
                secrets: ["KEY": .init(value: secret, hosts: [])])
            play.begin()
            let message = try #require(play.error(of: "a")?.message)
            #expect(message.utf8.count <= 1024 && !message.contains("\n"))
            for mark in marks { #expect(!message.contains(mark), "\(count): \(message.suffix(60))") }
        }
    }

    @Test("a run's output is masked, also where two masked names become one")
    func outputIsMasked() throws {
        var play = try Play(
            "steps:\n  a: {lua: \"return {[secrets.ONE] = 1, [secrets.TWO] = 2}\"}\noutput: {o: << steps.a.output >>, s: << secrets.ONE >>}",
            secrets: ["ONE": .init(value: "canary-1", hosts: []), "TWO": .init(value: "canary-2", hosts: [])])
        play.begin()
        #expect(play.outcome?.output["s"] == "[secret]")
        for record in play.records {
            #expect(!String(decoding: record.stored.facts, as: UTF8.self).contains("canary"))
            _ = try JournalRecord(stored: record.stored)
        }
    }

    @Test("a body full of the secret takes time in proportion to its length")
    func costIsLinear() {
        let redactor = Redactor(secrets: ["canary", "an-other-secret"])
        func time(_ count: Int) -> Duration {
            let body = Array(String(repeating: "canary!", count: count).utf8)
            var best = Duration.seconds(60)
            for _ in 0..<3 {
                best = min(
                    best, ContinuousClock().measure { #expect(redactor.redact(body).count == count * 9) })
            }
            return best
        }
        let small = time(10_000)
        let large = time(80_000)
        #expect(large < small * 24, "8 times the bytes: \(small) became \(large)")
    }

    @Test("texts that are nearly the secret at every place are masked right", arguments: UInt64(1)...40)
    func nearMisses(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        func text(_ count: Int) -> String {
            String((0..<count).map { _ in random.happens(5) ? "b" : "a" })
        }
        let secret = text(6 + Int(random.next() % 90))
        var haystack = text(Int(random.next() % 3_000))
        for _ in 0..<(random.next() % 4) { haystack += secret + text(Int(random.next() % 300)) }
        let redacted = Redactor(secrets: [secret]).redact(haystack)
        #expect(redacted == masked(haystack, secret), "seed \(seed)")
    }

    /// Looks at every place, and makes one mask of occurrences that overlap.
    private func masked(_ text: String, _ secret: String) -> String {
        let (bytes, needle) = (Array(text.utf8), Array(secret.utf8))
        var out: [UInt8] = []
        var end = 0
        for index in bytes.indices {
            if bytes[index...].starts(with: needle) {
                if index >= end { out += "[secret]".utf8 }
                end = index + needle.count
            }
            if index >= end { out.append(bytes[index]) }
        }
        return String(decoding: out, as: UTF8.self)
    }

    @Test("a secret too short to be told from chance is left alone")
    func shortSecretsAreIgnored() {
        #expect(Redactor(secrets: ["short"]).isEmpty)
        #expect(Redactor(secrets: ["", "a"]).redact("a short text") == "a short text")
    }
}
