import Engine
import OpenSSLCrypto
import Ports
import Testing
import Values

@Suite("Parts of a request that expressions leave out")
struct RequestPartTests {
    private func play(_ request: String, body: Value) throws -> Play {
        var play = try Play("steps:\n  a:\n    request: \(request)")
        play.begin(body: body)
        return play
    }

    private func url(_ request: String, body: Value = .null) throws -> String {
        let play = try play(request, body: body)
        try #require(play.error(of: "a") == nil, "\(play.error(of: "a")?.message ?? "")")
        return try play.request("a").url
    }

    private func expectRefusal(_ request: String, body: Value = .null, naming place: String) throws {
        let play = try play(request, body: body)
        #expect(play.sent.isEmpty)
        #expect(play.error(of: "a")?.code == "invalid_request")
        #expect(
            play.error(of: "a")?.message.hasPrefix(place) == true, "\(play.error(of: "a")?.message ?? "")")
    }

    // MARK: - Credentials and headers

    @Test(
        "a credential that is missing or empty, also in a part, refuses the request",
        arguments: [
            ("auth: {bearer: << trigger.body.v >>}", "auth.bearer"),
            ("auth: {bearer: 'key-<< trigger.body.v >>'}", "auth.bearer"),
            ("auth: {basic: {username: << trigger.body.v >>, password: p}}", "auth.basic.username"),
            ("auth: {basic: {username: u, password: << trigger.body.v >>}}", "auth.basic.password"),
            ("headers: {Authorization: 'Bearer << trigger.body.v >>'}", "header Authorization"),
            ("headers: {authorization: << trigger.body.v >>}", "header authorization"),
            ("idempotency_key: << trigger.body.v >>", "idempotency_key"),
            ("idempotency_key: 'order-<< trigger.body.v >>'", "idempotency_key"),
            ("idempotency_key: '<< 1 >>-<< trigger.body.v >>-x'", "idempotency_key"),
        ])
    func missingCredential(field: String, place: String) throws {
        for value in [Value.null, "", " ", "\t "] {
            try expectRefusal(
                "{method: POST, url: 'https://a.example/', \(field)}", body: ["v": value], naming: place)
        }
    }

    @Test("a header that an expression leaves out refuses the request, and an empty one is sent")
    func headers() throws {
        let request = "{url: 'https://a.example/', headers: {X-Account: << trigger.body.v >>}}"
        try expectRefusal(request, body: ["v": .null], naming: "header X-Account")
        try expectRefusal(
            "{url: 'https://a.example/', headers: {X: 'a-<< trigger.body.v >>'}}", body: ["v": .null],
            naming: "header X")
        let play = try play(request, body: ["v": ""])
        #expect(try play.request("a").headers["x-account"]?.isEmpty == true)
    }

    @Test("a user name with a colon would be read as another one")
    func colonInName() throws {
        try expectRefusal(
            "{url: 'https://a.example/', auth: {basic: {username: << trigger.body >>, password: p}}}",
            body: "a:b", naming: "auth.basic.username")
    }

    // MARK: - Query

    @Test(
        "a null leaves its parameter out, and a list is its name several times",
        arguments: [
            ("{a: << trigger.body.none >>, b: 1}", "?b=1"), ("{a: null, b: 2}", "?b=2"),
            ("{a: << trigger.body.list >>}", "?a=1&a=x%20y"),
            ("{a: [1, << trigger.body.none >>, z]}", "?a=1&a=z"),
            ("{a: '<< {} >>'}", ""), ("{a: << trigger.body.none >>}", ""),
            ("{a: << false >>, b: '', c: 'n-<< trigger.body.none >>'}", "?a=false&b=&c=n-"),
            ("<< trigger.body.map >>", "?k%20y=v%26w&n=12.50&l=1&l=2"), ("<< trigger.body.none >>", ""),
            ("'<< {} >>'", ""), ("{lang: lua, expr: 'return {z = 1}'}", "?z=1"), ("{}", ""),
        ])
    func query(query: String, expected: String) throws {
        let body: Value = [
            "list": [1, "x y", .null],
            "map": ["k y": "v&w", "n": .number("12.50"), "gone": .null, "l": [1, 2], "none": []],
        ]
        #expect(
            try url("{url: 'https://a.example/', query: \(query)}", body: body)
                == "https://a.example/\(expected)")
        #expect(
            try url("{url: 'https://a.example/?x=1', query: \(query)}", body: body)
                == "https://a.example/?x=1" + expected.replacing("?", with: "&"))
    }

    @Test(
        "a query that cannot be one refuses the request",
        arguments: [
            ("{a: '<< {b = 1} >>'}", "query a"), ("{a: '<< {1, {2}} >>'}", "query a"), ("<< 5 >>", "query"),
            ("'<< {1, 2} >>'", "query"), ("<< 'a=b' >>", "query"), ("'<< {a = {b = 1}} >>'", "query a"),
        ])
    func oddQuery(query: String, place: String) throws {
        try expectRefusal("{url: 'https://a.example/', query: \(query)}", naming: place)
    }

    // MARK: - Keys

    /// The key of the step `last` inside of groups with these names.
    private func key(groups: [String], last: String = "last") throws -> (key: String, path: String) {
        var (yaml, indent) = ("steps:\n", "  ")
        for group in groups {
            yaml += "\(indent)\(group):\n\(indent)  steps:\n"
            indent += "    "
        }
        yaml += "\(indent)\(last): {request: {method: POST, url: 'https://a.example/'}}\n"
        var play = try Play(yaml)
        play.begin()
        let sent = try #require(play.sent.first)
        return (try #require(sent.request.headers["idempotency-key"]), sent.step)
    }

    @Test(
        "the engine's key has at most 255 bytes, however deep the step is, and is another one for each step")
    func keyLength() throws {
        let run = RunID(number: 7).description
        var keys: Set<String> = []
        for depth in 0...8 {
            for name in ["x", String(repeating: "x", count: 40), String(repeating: "y", count: 64)] {
                for last in ["last", "other"] where depth > 0 || name == "x" {
                    let groups = (0..<depth).map { "g\($0)_\(name)".prefix(64) }.map(String.init)
                    let (key, path) = try key(groups: groups, last: last)
                    #expect(key.utf8.count <= 255)
                    if "\(run)/\(path)".utf8.count <= 255 { #expect(key == "\(run)/\(path)") }
                    #expect(key.hasPrefix("\(run)/"))
                    #expect(keys.insert(key).inserted, "\(path) has the key of another step")
                }
            }
        }
    }

    @Test("a shortened key is the same in every version")
    func keyIsStable() throws {
        let groups = (0..<7).map { "g\($0)_" + String(repeating: "x", count: 60) }
        let (key, path) = try key(groups: groups)
        let whole = "\(RunID(number: 7))/\(path)"
        let digest = Hex.encode(cryptography.sha256(Array(whole.utf8)))
        #expect(key == whole.prefix(190) + "~" + digest)
    }

    @Test("an own key of more than 255 bytes refuses the request")
    func ownKeyLength() throws {
        let request = "{method: POST, url: 'https://a.example/', idempotency_key: << trigger.body >>}"
        let longest = String(repeating: "k", count: 255)
        let play = try play(request, body: .string(longest))
        #expect(try play.request("a").headers["idempotency-key"] == longest)
        try expectRefusal(request, body: .string(longest + "k"), naming: "idempotency_key")
    }

    // MARK: - Addresses

    @Test(
        "the URL is what is sent, and the signature covers that",
        arguments: [
            ("http://host", "http://host/"), ("HTTP://Host:80/A?b", "http://host/A?b"),
            ("https://host:443?x=1", "https://host/?x=1"), ("https://host:0444/", "https://host:444/"),
            ("http://127.1/", "http://127.0.0.1/"),
            ("http://host/a/../b/./c//d", "http://host/a/../b/./c//d"),
            ("http://[::0001]:80", "http://[::1]/"), ("http://host:", "http://host/"),
        ])
    func sentAddress(written: String, sent: String) throws {
        var play = try Play(
            "steps:\n  a:\n    request: {url: << trigger.body >>}",
            secrets: ["MILLRACE_SIGNING_SECRET": .init(value: "signing-secret", hosts: [])])
        play.begin(body: .string(written))
        let request = try play.request("a")
        #expect(request.url == sent)
        let input = try #require(request.headers["signature-input"]).dropFirst(5)
        let digest = try #require(request.headers["content-digest"])
        let base = """
            "@method": GET
            "@target-uri": \(sent)
            "content-digest": \(digest)
            "idempotency-key": \(RunID(number: 7))/a
            "@signature-params": \(input)
            """
        let expected = try #require(
            cryptography.hmac("sha256", key: Array("signing-secret".utf8), data: Array(base.utf8)))
        #expect(request.headers["signature"] == "sig1=:\(Base64.encode(expected)):")
    }

    @Test("the signature covers a key as it arrives, without the blanks around it")
    func signedKey() throws {
        var play = try Play(
            "steps:\n  a:\n    request: {url: 'http://host/', idempotency_key: << trigger.body >>}",
            secrets: ["MILLRACE_SIGNING_SECRET": .init(value: "signing-secret", hosts: [])])
        play.begin(body: " order 1  ")
        let request = try play.request("a")
        let input = try #require(request.headers["signature-input"]).dropFirst(5)
        let digest = try #require(request.headers["content-digest"])
        let base = """
            "@method": GET
            "@target-uri": http://host/
            "content-digest": \(digest)
            "idempotency-key": order 1
            "@signature-params": \(input)
            """
        let expected = try #require(
            cryptography.hmac("sha256", key: Array("signing-secret".utf8), data: Array(base.utf8)))
        #expect(request.headers["signature"] == "sig1=:\(Base64.encode(expected)):")
    }
}
