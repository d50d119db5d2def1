import MicroHTTPServer
import Ports
import Testing
import Values

@Suite("HTTP listener: protocol")
struct ProtocolTests {
    @Test("A kept connection answers one request after the other", arguments: [true, false])
    func keepAlive(isInline: Bool) throws {
        try withListener(handler: isInline ? echo : echoLater) { listener in
            let client = try RawClient(port: listener.port)
            for number in 0..<20 {
                client.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n\(number + 10)")
                let response = try client.response()
                #expect(response.status == 200)
                #expect(response.text == "\(number + 10)")
            }
        }
    }

    @Test("Pipelined requests are answered in their order", arguments: [true, false])
    func pipelining(isInline: Bool) throws {
        try withListener(handler: isInline ? echo : echoLater) { listener in
            let client = try RawClient(port: listener.port)
            client.send((0..<8).map { "GET /\($0) HTTP/1.1\r\nHost: x\r\n\r\n" }.joined())
            for number in 0..<8 { try #expect(client.response().headers["x-path"] == "/\(number)") }
        }
    }

    @Test("A chunked upload arrives whole")
    func chunkedUpload() throws {
        try withListener { listener in
            let client = try RawClient(port: listener.port)
            client.send("PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            client.send("5;e=1\r\ndefgh\r\n0\r\n\r\n")
            let response = try client.response()
            #expect(response.text == "abcdefgh")
            #expect(response.headers["connection"]?.lowercased() == "close")
        }
    }

    @Test(
        "Nothing that follows a chunked body is read as a request",
        arguments: ["3\r\nabc\r\n0\r\n\r\n", "3\nabc\n0\n\n", "3\r\nabc\r\n0\r\n\n"])
    func chunkedBodyIsLast(body: String) throws {
        let seen = Tally()
        let count: @Sendable (InboundRequest, @escaping @Sendable (InboundResponse) -> Void) -> Void = {
            seen.increase()
            echo($0, $1)
        }
        try withListener(handler: count) { listener in
            let client = try RawClient(port: listener.port)
            let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            client.send(head + body + "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
            let end = try #require(client.readToEnd())
            #expect(!String(decoding: end, as: UTF8.self).contains("smuggled"))
        }
        #expect(seen.count <= 1)
    }

    @Test("A caller that expects 100-continue gets it before its body is read")
    func expectContinue() throws {
        try withListener { listener in
            let client = try RawClient(port: listener.port)
            client.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
            try #expect(client.response().status == 100)
            client.send("abc")
            try #expect(client.response().text == "abc")
        }
    }

    @Test("HEAD states the length and sends no body")
    func headRequest() throws {
        try withListener(handler: { _, respond in
            respond(InboundResponse(status: 200, body: Array("12345".utf8)))
        }) { listener in
            let client = try RawClient(port: listener.port)
            client.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
            let head = try client.response(isHead: true)
            #expect(head.headers["content-length"] == "5")
            try #expect(client.response().text == "12345")
        }
    }

    @Test("HTTP/1.0 needs no Host and is closed after the answer")
    func oldProtocol() throws {
        try withListener { listener in
            let client = try RawClient(port: listener.port)
            client.send("GET /old HTTP/1.0\r\n\r\n")
            try #expect(client.response().headers["x-path"] == "/old")
            #expect(client.readToEnd() == [])
        }
    }

    @Test("Methods pass through, header names are found in any case, path and query are decoded")
    func requestParts() throws {
        try withListener { listener in
            let client = try RawClient(port: listener.port)
            client.send("PURGE /a//b%2Fc/?x=1&y=a+b%21&z HTTP/1.1\r\nHost: x\r\nX-SENT:  some \t\r\n\r\n")
            let response = try client.response()
            #expect(response.headers["x-method"] == "PURGE")
            #expect(response.headers["x-path"] == "/a//b%2Fc/")
            #expect(response.headers["x-segments"] == "a||b/c|")
            #expect(response.headers["x-query"] == "x=1|y=a b!|z=")
            #expect(response.headers["x-header"] == "some")
            #expect(response.headers["x-peer"] == "127.0.0.1")
        }
    }

    @Test(
        "A target in absolute form is its path, and its host is the host",
        arguments: [
            ("http://api.example/a/b?x=1", "/a/b", "x=1"), ("HTTPS://api.example:8443/", "/", ""),
            ("http://api.example", "/", ""), ("http://[::1]?x=1", "/", "x=1"),
        ])
    func absoluteForm(target: String, path: String, query: String) throws {
        try withListener(handler: { request, respond in
            let host = HTTPHeader("X-Host", request.headers["host"] ?? "none")
            echo(request) { respond(InboundResponse(status: 200, headers: $0.headers + [host])) }
        }) { listener in
            let client = try RawClient(port: listener.port)
            client.send("GET \(target) HTTP/1.1\r\nHost: other.example\r\n\r\n")
            let response = try client.response()
            #expect(response.status == 200)
            #expect(response.headers["x-path"] == path)
            #expect(response.headers["x-query"] ?? "" == query)
            let authority = target.split(separator: "/", maxSplits: 2)[1].split(separator: "?")[0]
            #expect(response.headers["x-host"] == authority.split(separator: "/").first.map(String.init))
        }
    }

    @Test(
        "It listens on every form of address",
        arguments: [
            ("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "::1"), ("::", "127.0.0.1"),
        ])
    func addresses(own: String, peer: String) throws {
        try withListener(address: own) { listener in
            let client = try RawClient(port: listener.port, host: peer)
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            try #expect(client.response().headers["x-peer"] == peer)
        }
    }

    @Test("A taken port and a name instead of an address are errors that say so")
    func failedStart() throws {
        try withListener { listener in
            let first = #expect(throws: ListenerError.self) {
                try start(address: "127.0.0.1", port: listener.port)
            }
            #expect(first?.address == "127.0.0.1:\(listener.port)")
            #expect(first?.reason == "Address already in use")
            let second = #expect(throws: ListenerError.self) { try start(address: "localhost", port: 0) }
            #expect(second?.reason == "not a numeric address")
        }
    }

    private func start(address: String, port: UInt16) throws {
        let listener = try MicroHTTPServer.start(
            address: address, port: port, limits: ListenerLimits(), clock: { .init(milliseconds: 0) },
            handler: ClosureHandler(body: echo))
        listener.shutDown(drain: .zero)
    }
}
