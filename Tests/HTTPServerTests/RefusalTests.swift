import MicroHTTPServer
import Ports
import Testing

@Suite("HTTP listener: what it refuses")
struct RefusalTests {
    @Test(
        "A request that can be read in two ways is answered 400 and closed",
        arguments: [
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\nabc",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n",
            "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nX-A : b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nX-A: b\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\nX-A: b\r\n\r\n",
            "GET / HTTP/1.1\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nX-A: b\u{0}c\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nX-A: b\u{1}c\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /a\u{0}b HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /a%0 HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /a%zz HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /%ff HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /%c0%af HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /?a=%zz HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET http:///a HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET http://user@x/a HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET ftp://x/a HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET a HTTP/1.1\r\nHost: x\r\n\r\n",
            "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3 \t3\r\n\r\nabc",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ３\r\n\r\nabc",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1e1\r\n\r\nabc",
            "GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\n: v\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: user@x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n",
            "GET /ü HTTP/1.1\r\nHost: x\r\n\r\n",
        ])
    func badRequests(text: String) throws {
        try withListener { listener in
            let client = try RawClient(port: listener.port)
            client.send(text)
            let response = try client.response()
            #expect(response.status == 400)
            #expect(response.headers["content-type"] == "application/json")
            #expect(response.headers["connection"]?.lowercased() == "close")
            #expect(response.text.hasPrefix(#"{"error":{"code":"bad_"#), "\(response.text)")
            #expect(client.readToEnd() == [], "one head, one body, and the end")
        }
    }

    @Test(
        "A length of more digits than a number has is a body that is too large",
        arguments: [
            "99999999999999999999", "9223372036854775807", "18446744073709551616", "1000000000000000000",
        ])
    func hugeLength(length: String) throws {
        try withListener { listener in
            let client = try RawClient(port: listener.port)
            client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \(length)\r\n\r\n")
            let response = try client.response()
            #expect(response.status == 413)
            #expect(response.text.contains("\"body_too_large\""))
            #expect(client.readToEnd() == [])
        }
    }

    @Test("A request that cannot be read is answered beside others that are being read, and they go on")
    func besideOthers() throws {
        try withListener { listener in
            let upload = try RawClient(port: listener.port)
            upload.send("POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
            let bad = try RawClient(port: listener.port)
            bad.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +7\r\n\r\n1234567")
            let response = try bad.response()
            #expect(response.status == 400 && response.text.contains("bad_framing"))
            #expect(bad.readToEnd() == [])
            upload.send("cd")
            #expect(try upload.response().text == "abcd")
        }
    }

    @Test(
        "A body whose chunks cannot be read is answered once, and its connection closed",
        arguments: ["zz\r\nabc\r\n0\r\n\r\n", "-1\r\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n"])
    func badChunks(body: String) throws {
        try withListener { listener in
            let client = try RawClient(port: listener.port)
            client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
            try #expect(client.response().status == 400)
            #expect(client.readToEnd() == [])
        }
    }

    @Test("A header field that is not UTF-8 is refused, and never changed", arguments: [true, false])
    func headerBytes(isName: Bool) throws {
        try withListener { listener in
            let client = try RawClient(port: listener.port)
            let field: [UInt8] = Array((isName ? "X-" : "X-Name: caf").utf8) + [0xE9]
            let head = Array("GET / HTTP/1.1\r\nHost: x\r\n".utf8)
            client.send(head + field + Array((isName ? ": a" : "").utf8) + Array("\r\n\r\n".utf8))
            let response = try client.response()
            #expect(response.status == 400)
            // A name is a token of ASCII, so the server's library refuses it first.
            #expect(response.text.contains(isName ? "\"bad_framing\"" : "\"bad_header\""))
            #expect(client.readToEnd() == [])
        }
    }

    @Test(
        "A second header that would leave open how the body is read is refused",
        arguments: ["Content-Type: text/plain", "content-encoding: gzip"])
    func repeatedHeaders(line: String) throws {
        try withListener { listener in
            let client = try RawClient(port: listener.port)
            client.send("POST / HTTP/1.1\r\nHost: x\r\n\(line)\r\n\(line)\r\nContent-Length: 1\r\n\r\na")
            let response = try client.response()
            #expect(response.status == 400)
            #expect(response.text.contains("\"bad_header\""))
            #expect(client.readToEnd() == [])
        }
    }

    @Test("A refusal is JSON with a code")
    func refusalBody() throws {
        try withListener { listener in
            let client = try RawClient(port: listener.port)
            client.send("GET / HTTP/1.1\r\n\r\n")
            let response = try client.response()
            #expect(response.headers["content-type"] == "application/json")
            #expect(response.headers["connection"]?.lowercased() == "close")
            let expected =
                #"{"error":{"code":"bad_host","message":"Send exactly one Host header.","details":null}}"#
            #expect(response.text == expected)
        }
    }

    @Test("A body of the limit passes and one byte more is 413", arguments: [true, false], [-1, 0, 1])
    func bodyLimit(isChunked: Bool, excess: Int) throws {
        var limits = ListenerLimits()
        limits.bodyByteCountMax = 100_000
        let count = limits.bodyByteCountMax + excess
        try withListener(limits: limits) { listener in
            let client = try RawClient(port: listener.port)
            let body = [UInt8](repeating: 0x61, count: count)
            if isChunked {
                client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
                client.send("\(String(count, radix: 16))\r\n")
                client.send(body)
                client.send("\r\n0\r\n\r\n")
            } else {
                client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \(count)\r\n\r\n")
                if excess <= 0 { client.send(body) }
            }
            let response = try client.response()
            #expect(response.status == (excess > 0 ? 413 : 200))
            if excess > 0 {
                #expect(response.text.contains(#""code":"body_too_large""#))
                #expect(client.readToEnd() != nil)
            } else {
                #expect(response.body == body)
            }
        }
    }

    @Test("A body without end is cut off soon after the limit")
    func endlessBody() throws {
        var limits = ListenerLimits()
        limits.bodyByteCountMax = 10_000
        try withListener(limits: limits) { listener in
            let client = try RawClient(port: listener.port)
            client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            let chunk = "1000\r\n" + String(repeating: "a", count: 4096) + "\r\n"
            var sentChunkCount = 0
            while sentChunkCount < 10_000, client.send(chunk) { sentChunkCount += 1 }
            #expect(sentChunkCount < 10_000)
        }
    }

    @Test("Headers of the limit pass, more bytes or fields are 431")
    func headerLimits() throws {
        var limits = ListenerLimits()
        limits.headerByteCountMax = 4096
        limits.headerCountMax = 10
        try withListener(limits: limits) { listener in
            try #expect(status(of: padded(to: 4096), listener) == 200)
            try #expect(status(of: padded(to: 4097), listener) == 431)
            try #expect(status(of: padded(to: 100_000), listener) == 431)
            try #expect(status(of: fields(10), listener) == 200)
            try #expect(status(of: fields(11), listener) == 431)
        }
    }

    @Test("A target of half the header limit passes and one byte more is 414")
    func targetLimit() throws {
        var limits = ListenerLimits()
        limits.headerByteCountMax = 4096
        try withListener(limits: limits) { listener in
            func request(_ count: Int) -> String {
                "GET /\(String(repeating: "a", count: count - 1)) HTTP/1.1\r\nHost: x\r\n\r\n"
            }
            try #expect(status(of: request(2048), listener) == 200)
            try #expect(status(of: request(2049), listener) == 414)
        }
    }

    private func padded(to count: Int) -> String {
        let start = "GET / HTTP/1.1\r\nHost: x\r\nX-A: "
        return start + String(repeating: "a", count: count - start.utf8.count - 4) + "\r\n\r\n"
    }

    private func fields(_ count: Int) -> String {
        "GET / HTTP/1.1\r\nHost: x\r\n" + (1..<count).map { "X-\($0): a\r\n" }.joined() + "\r\n"
    }

    private func status(of text: String, _ listener: MicroHTTPServer) throws -> Int {
        let client = try RawClient(port: listener.port)
        client.send(text)
        return try client.response().status
    }
}
