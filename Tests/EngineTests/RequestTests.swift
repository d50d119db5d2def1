import Engine
import OpenSSLCrypto
import Ports
import Testing
import Values

@Suite("Requests from templates")
struct RequestTests {
    private static func step(_ request: String) -> String { "steps:\n  a:\n    request: \(request)" }

    private func request(
        _ text: String, body: Value = .null, secrets: [String: OpenSecrets.Secret] = [:]
    ) throws -> OutboundRequest {
        var play = try Play(Self.step(text), secrets: secrets)
        play.begin(body: body)
        try #require(play.error(of: "a") == nil, "\(play.error(of: "a")?.message ?? "")")
        return try play.request("a")
    }

    private func refusal(
        _ text: String, body: Value = .null, secrets: [String: OpenSecrets.Secret] = [:]
    ) throws -> StepError? {
        var play = try Play(Self.step(text), secrets: secrets)
        play.begin(body: body)
        #expect(play.sent.isEmpty, "nothing may leave")
        #expect(play.outcome?.status == .failed)
        return play.error(of: "a")
    }

    // MARK: - Bodies

    @Test(
        "a form body is what Stripe's own encoder makes of it",
        arguments: [
            (["a": 1, "b": "foo"], "a=1&b=foo"), (["a": ["b": ["c": ["d": 2]]]], "a[b][c][d]=2"),
            (["a": [["b": "c"], ["b": "d"]]], "a[0][b]=c&a[1][b]=d"),
            (
                [
                    "test": 1, "foo": "baz", "somethingElse": "::\"\"%&",
                    "nested": ["1": 2, "a n o t h e r": nil],
                ],
                "test=1&foo=baz&somethingElse=%3A%3A%22%22%25%26&nested[1]=2&nested[a%20n%20o%20t%20h%20e%20r]="
            ),
            (["arr": ["a", 1, true]], "arr[0]=a&arr[1]=1&arr[2]=true"), (["arr": []], ""),
            (["special": "!@#$%^&*()+="], "special=%21%40%23%24%25%5E%26%2A%28%29%2B%3D"),
            (["emoji": "😀", "chinese": "中文"], "emoji=%F0%9F%98%80&chinese=%E4%B8%AD%E6%96%87"),
        ] as [(Value, String)])
    func formBody(value: Value, expected: String) throws {
        let request = try request(
            "{method: POST, url: https://a.example/, headers: {Content-Type: application/x-www-form-urlencoded}, body: << trigger.body >>}",
            body: value)
        #expect(String(decoding: request.body, as: UTF8.self) == expected)
        #expect(request.headers.filter { $0.name.lowercased() == "content-type" }.count == 1)
    }

    @Test("a whole request is exactly what the template says, with the engine's headers")
    func wholeRequest() throws {
        let request = try request(
            """

                  method: POST
                  url: https://api.example/v1/<< trigger.body.id >>
                  headers: {X-Note: "n<< 1 + 1 >>"}
                  query: {q: "a b&c", n: << trigger.body.n >>}
                  body: {id: << trigger.body.id >>, amount: << trigger.body.n >>, list: [1, << null >>]}
                  auth: {bearer: << secrets.TOKEN >>}
                response: {timeout: 5s}
            """.replacing("\n    response", with: "\n    response"),
            body: ["id": "or/1", "n": .number("12.50")],
            secrets: ["TOKEN": .init(value: "token-1", hosts: [])])
        #expect(request.method == "POST")
        #expect(request.url == "https://api.example/v1/or%2F1?q=a%20b%26c&n=12.50")
        #expect(
            String(decoding: request.body, as: UTF8.self) == #"{"id":"or/1","amount":12.50,"list":[1,null]}"#)
        #expect(request.timeout == .seconds(5))
        let run = RunID(number: 7).description
        #expect(
            request.headers.dropLast() == [
                HTTPHeader("X-Note", "n2"), HTTPHeader("Content-Type", "application/json"),
                HTTPHeader("Authorization", "Bearer token-1"), HTTPHeader("Idempotency-Key", "\(run)/a"),
                HTTPHeader("Millrace-Run", run), HTTPHeader("Millrace-Step", "a"),
                HTTPHeader("Millrace-Attempt", "1"),
            ])
    }

    @Test("a text body is sent as it is, and no body at all has no type")
    func textBody() throws {
        let text = try request(
            "{method: POST, url: https://a.example/, body: 'hi << trigger.body.x >>'}", body: ["x": "é\n"])
        #expect(String(decoding: text.body, as: UTF8.self) == "hi é\n")
        #expect(text.headers["content-type"] == "text/plain; charset=utf-8")
        let none = try request("{url: https://a.example/}")
        #expect(none.body.isEmpty && none.method == "GET" && none.headers["content-type"] == nil)
    }

    @Test("a form needs a map")
    func formNeedsMap() throws {
        let error = try refusal(
            "{method: POST, url: https://a.example/, headers: {Content-Type: application/x-www-form-urlencoded}, body: << trigger.body >>}",
            body: [1])
        #expect(error?.code == "invalid_request")
    }

    @Test("basic credentials are encoded; an absent password is empty")
    func basicAuthorization() throws {
        let request = try request(
            "{url: https://a.example/, auth: {basic: {username: Aladdin, password: open sesame}}}")
        #expect(request.headers["authorization"] == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
        #expect(
            try self.request("{url: https://a.example/, auth: {basic: {username: sk}}}").headers[
                "authorization"] == "Basic c2s6")
    }

    // MARK: - URLs

    @Test(
        "a value in a path stays within its segment",
        arguments: [
            ("../customers/x", "..%2Fcustomers%2Fx"), ("tr_1?x=", "tr_1%3Fx%3D"), ("a#b", "a%23b"),
            ("a b", "a%20b"),
            ("a\r\nHost: evil", "a%0D%0AHost%3A%20evil"), ("é😀", "%C3%A9%F0%9F%98%80"),
            ("%2e%2e", "%252e%252e"),
            ("...", "..."), ("a\\b", "a%5Cb"), ("@evil.example", "%40evil.example"), ("\u{0}", "%00"),
            ("<< 1 >>", "%3C%3C%201%20%3E%3E"),
        ])
    func pathValueIsEncoded(value: String, expected: String) throws {
        let request = try request(
            "{url: 'https://a.example/v2/payments/<< trigger.body.id >>/x'}", body: ["id": .string(value)])
        #expect(request.url == "https://a.example/v2/payments/\(expected)/x")
    }

    @Test(
        "a value that would leave the path or is none refuses the request",
        arguments: ["", ".", ".."] as [Value] + [.null, [1], ["a": 1]])
    func pathValueIsRefused(value: Value) throws {
        #expect(
            try refusal("{url: 'https://a.example/<< trigger.body.id >>/x'}", body: ["id": value])?.code
                == "invalid_request")
    }

    @Test(
        "in a query anything may stand, encoded",
        arguments: [("", ""), ("..", ".."), ("a&b=c#d", "a%26b%3Dc%23d"), ("\r\n", "%0D%0A")])
    func queryValueIsEncoded(value: String, expected: String) throws {
        let request = try request(
            "{url: 'https://a.example/?x=<< trigger.body.id >>', query: {'k y': << trigger.body.id >>}}",
            body: ["id": .string(value)])
        #expect(request.url == "https://a.example/?x=\(expected)&k%20y=\(expected)")
    }

    @Test(
        "a value in the host is a host's letters only",
        arguments: [("api", "https://api.example.com/x"), ("a.b-c_1", "https://a.b-c_1.example.com/x")])
    func hostValue(value: String, expected: String) throws {
        #expect(
            try request("{url: 'https://<< trigger.body.h >>.example.com/x'}", body: ["h": .string(value)])
                .url == expected)
    }

    @Test(
        "a value in the host cannot end it, name a user or break the line",
        arguments: [
            "evil.com/", "evil.com?", "user@evil.com", "evil.com#", "a b", "a\r\nb", "evil.com\\", "é",
        ])
    func hostValueIsRefused(value: String) throws {
        let error = try refusal(
            "{url: 'https://<< trigger.body.h >>.example.com/x'}", body: ["h": .string(value)])
        #expect(error?.code == "invalid_request")
    }

    @Test("an expression at the start is a base address, and what follows it is path")
    func baseAddress() throws {
        var play = try Play(
            "vars: {internal_url: 'http://127.0.0.1:8080'}\nsteps:\n  a: {request: {url: '<< vars.internal_url >>/api/<< trigger.body.id >>'}}"
        )
        play.begin(body: ["id": "a/b"])
        #expect(try play.request("a").url == "http://127.0.0.1:8080/api/a%2Fb")
    }

    @Test("a URL that is one expression stands as it is")
    func wholeAddress() throws {
        let url = "https://a.example/x?y=1&z=%20"
        #expect(try request("{url: << trigger.body.u >>}", body: ["u": .string(url)]).url == url)
    }

    @Test(
        "an address that is none, hides its host or breaks the line refuses the request",
        arguments: [
            "ftp://a.example/", "file:///etc/passwd", "//a.example/", "a.example", "https://", "https:///x",
            "",
            "https://user:pw@a.example/", "https://a.example@evil.example/", "https://a.example/ x",
            "https://a.example/\r\nX: y",
            "https://a.example\\@evil.example/", "https://a.example/#f", "javascript:alert(1)",
            "https://exa mple/", "https://é.example/",
        ])
    func wholeAddressIsRefused(url: String) throws {
        #expect(
            try refusal("{url: << trigger.body.u >>}", body: ["u": .string(url)])?.code == "invalid_request")
    }

    // MARK: - Controls and second passes

    @Test(
        "a control character in a header, credential, key or method refuses the request (O5)",
        arguments: [
            "{url: https://a.example/, headers: {X: 'a<< trigger.body >>'}}",
            "{url: https://a.example/, auth: {bearer: << trigger.body >>}}",
            "{url: https://a.example/, idempotency_key: << trigger.body >>}",
            "{url: https://a.example/, method: << trigger.body >>}",
        ], ["x\r\nEvil: 1", "x\n", "x\u{0}", "x\u{7F}", "\u{1B}"])
    func controlsAreRefused(template: String, value: String) throws {
        #expect(try refusal(template, body: .string(value))?.code == "invalid_request")
    }

    @Test(
        "a method from an expression is letters only", arguments: ["GET /", "P UT", "", "GET1", "G\u{E9}T"])
    func methodIsChecked(method: String) throws {
        #expect(
            try refusal("{url: https://a.example/, method: << trigger.body >>}", body: .string(method))?.code
                == "invalid_request")
        #expect(
            try request("{url: https://a.example/, method: << trigger.body >>}", body: "post").method
                == "POST")
    }

    @Test("an own key replaces the engine's; one that comes out empty refuses the request")
    func ownKey() throws {
        let request = try request(
            "{url: https://a.example/, idempotency_key: 'order-<< trigger.body >>'}", body: 5)
        #expect(
            request.headers.filter { $0.name.lowercased() == "idempotency-key" }.map(\.value) == ["order-5"])
        #expect(
            try refusal("{url: https://a.example/, idempotency_key: << trigger.body.x >>}")?.code
                == "invalid_request")
    }

    @Test("what comes out of an expression is never read as a template again (Y8)")
    func noSecondPass() throws {
        let value = "<< secrets.TOKEN >> {{ secrets.TOKEN }}"
        let request = try request(
            "{method: POST, url: https://a.example/, headers: {X: << trigger.body.v >>}, body: {v: << trigger.body.v >>, t: 'a << trigger.body.v >>'}}",
            body: ["v": .string(value)], secrets: ["TOKEN": .init(value: "canary-token", hosts: [])])
        #expect(request.headers["x"] == value)
        #expect(try JSON.parse(request.body) == ["v": .string(value), "t": .string("a " + value)])
        #expect(!String(decoding: request.body, as: UTF8.self).contains("canary"))
    }

    // MARK: - Secrets and their hosts

    @Test(
        "a bound secret goes to its hosts only, however they are spelled (O9)",
        arguments: [
            ("https://api.stripe.com/v1", true), ("https://API.Stripe.COM/v1", true),
            ("https://api.stripe.com:8443/v1", true),
            ("https://evil.example/", false), ("https://api.stripe.com.evil.example/", false),
            ("https://xapi.stripe.com/", false),
            ("https://api.stripe.com./", false), ("https://evil.example/?api.stripe.com", false),
        ])
    func secretIsBound(url: String, isSent: Bool) throws {
        let secrets = [
            "KEY": OpenSecrets.Secret(value: "canary-key", hosts: ["other.example", "Api.stripe.com"])
        ]
        for template in [
            "{url: << trigger.body >>, auth: {bearer: << secrets.KEY >>}}",
            "{url: << trigger.body >>, headers: {X: 'k<< secrets.KEY >>'}}",
            "{url: << trigger.body >>, method: POST, body: {a: [\"<< secrets['KEY'] >>\"]}}",
            "{url: << trigger.body >>, headers: {X: {lang: lua, expr: 'local all = secrets return all.KEY'}}}",
        ] {
            if isSent {
                let sent = try request(template, body: .string(url), secrets: secrets).url
                #expect(sent == url.lowercased())
            } else {
                let error = try refusal(template, body: .string(url), secrets: secrets)
                #expect(error?.code == "secret_not_for_host")
                #expect(error?.message.contains("canary") == false)
            }
        }
    }

    @Test("a missing secret fails the step with its name and sends nothing")
    func missingSecret() throws {
        let error = try refusal("{url: https://a.example/, auth: {bearer: << secrets.NOT_SET >>}}")
        #expect(error?.code == "secret_missing")
        #expect(error?.message.contains("NOT_SET") == true)
    }

    // MARK: - Trace and signature

    @Test("traceparent has the W3C form: one trace a run, one span an attempt")
    func traceParent() throws {
        var play = try Play(
            "steps:\n  - id: a\n    request: {url: https://a.example/}\n  - id: b\n    request: {url: https://a.example/}"
        )
        play.begin()
        play.answer("a", 503)
        play.retry("a")
        play.answer("a")
        let traces = try play.sent.map {
            try #require($0.request.headers["traceparent"]).split(separator: "-")
        }
        #expect(traces.count == 3)
        for trace in traces {
            #expect(trace.map(\.count) == [2, 32, 16, 2] && trace[0] == "00" && trace[3] == "01")
            #expect(trace.joined().allSatisfy { $0.isHexDigit && !$0.isUppercase })
            #expect(
                trace[1] != String(repeating: "0", count: 32)[...]
                    && trace[2] != String(repeating: "0", count: 16)[...])
        }
        #expect(Set(traces.map { $0[1] }).count == 1 && Set(traces.map { $0[2] }).count == 3)
    }

    @Test("with a signing secret the body's digest and an RFC 9421 signature go along")
    func signature() throws {
        let request = try request(
            "{method: POST, url: https://a.example/x, headers: {Content-Type: application/json}, body: '{\"hello\": \"world\"}'}",
            secrets: ["MILLRACE_SIGNING_SECRET": .init(value: "signing-secret", hosts: [])])
        #expect(request.headers["content-digest"] == "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:")
        let input =
            "(\"@method\" \"@target-uri\" \"content-digest\" \"idempotency-key\");created=\(Play.start.seconds);keyid=\"\(TenantID(number: 3))\""
        #expect(request.headers["signature-input"] == "sig1=\(input)")
        let lines = [
            "\"@method\": POST", "\"@target-uri\": https://a.example/x",
            "\"content-digest\": sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
            "\"idempotency-key\": \(RunID(number: 7))/a", "\"@signature-params\": \(input)",
        ]
        let expected = try #require(
            cryptography.hmac(
                "sha256", key: Array("signing-secret".utf8), data: Array(lines.joined(separator: "\n").utf8)))
        #expect(request.headers["signature"] == "sig1=:\(Base64.encode(expected)):")
        #expect(try self.request("{url: https://a.example/}").headers["signature"] == nil)
    }

    @Test("the signing primitive gives RFC 9421's own vector B.2.5")
    func signatureVector() throws {
        let key = try #require(
            Base64.decode(
                "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="))
        let base = """
            "date": Tue, 20 Apr 2021 02:07:55 GMT
            "@authority": example.com
            "content-type": application/json
            "@signature-params": ("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"
            """
        #expect(
            cryptography.hmac("sha256", key: key, data: Array(base.utf8)).map { Base64.encode($0) }
                == "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=")
    }
}
