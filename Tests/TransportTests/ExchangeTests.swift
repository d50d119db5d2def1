import CurlTransport
import Ports
import Testing
import Values

@Suite("CurlTransport: requests and responses")
struct ExchangeTests {
    @Test("a POST arrives as exactly these bytes")
    func postBytes() {
        withServer(.answering()) { server in
            withTransport { transport in
                var request = OutboundRequest.get(server.url("/a/../b?x=1%20&y=%2F"))
                request.method = "POST"
                request.headers = [
                    HTTPHeader("Content-Type", "application/json"), HTTPHeader("Idempotency-Key", "k-1"),
                    HTTPHeader("X-Empty", ""), HTTPHeader("X-Blank", "  "), HTTPHeader("X-Text", "é; a: b"),
                ]
                request.body = Array("{\"a\":1}\u{0}\r\n".utf8)
                #expect(transport.response(request)?.status == 200)
                #expect(
                    server.requests == [
                        "POST /a/../b?x=1%20&y=%2F HTTP/1.1\r\nHost: 127.0.0.1:\(server.port)\r\n"
                            + "User-Agent: Millrace/1\r\nAccept-Encoding: gzip, deflate\r\n"
                            + "Content-Type: application/json\r\nIdempotency-Key: k-1\r\nX-Empty:\r\nX-Blank:\r\n"
                            + "X-Text: é; a: b\r\nContent-Length: 10\r\n\r\n{\"a\":1}\u{0}\r\n"
                    ])
            }
        }
    }

    @Test(
        "each method is framed as it should be, also after another on the same handle",
        arguments: [
            ["GET", "POST", "HEAD", "DELETE", "PUT", "PATCH", "GET", "HEAD", "POST", "REPORT", "GET"]
        ])
    func methods(names: [String]) {
        let server = LoopbackServer { peer in
            while let request = peer.request() {
                if request.hasPrefix("HEAD") {
                    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
                } else {
                    peer.answer("x")
                }
            }
        }
        withServer(server) { server in
            withTransport { transport in
                for name in names {
                    var request = OutboundRequest.get(server.url())
                    request.method = name
                    #expect(transport.response(request)?.body == (name == "HEAD" ? [] : Array("x".utf8)))
                }
                for (name, request) in zip(names, server.requests) {
                    let head =
                        "\(name) / HTTP/1.1\r\nHost: 127.0.0.1:\(server.port)\r\n"
                        + "User-Agent: Millrace/1\r\nAccept-Encoding: gzip, deflate\r\n"
                    let length = ["POST", "PUT", "PATCH"].contains(name) ? "Content-Length: 0\r\n" : ""
                    #expect(request == head + length + "\r\n")
                }
                #expect(server.requests.count == names.count)
                #expect(server.connectionCount == 1)
            }
        }
    }

    @Test("a GET and a DELETE may carry a body, of exact length, and nothing of it is left for the next one")
    func bodiesOfAnyMethod() {
        withServer(.answering()) { server in
            withTransport { transport in
                for (method, body) in [("GET", "abc"), ("DELETE", "de"), ("GET", ""), ("POST", "")] {
                    var request = OutboundRequest.get(server.url())
                    request.method = method
                    request.body = Array(body.utf8)
                    #expect(transport.response(request)?.status == 200)
                }
                #expect(server.requests[0].hasSuffix("Content-Length: 3\r\n\r\nabc"))
                #expect(server.requests[1].hasSuffix("Content-Length: 2\r\n\r\nde"))
                #expect(!server.requests[2].lowercased().contains("content-"))
                #expect(server.requests[3].hasSuffix("Content-Length: 0\r\n\r\n"))
            }
        }
    }

    @Test("a large body goes out without waiting for 100 Continue")
    func largeRequestBody() {
        withServer(.answering()) { server in
            withTransport { transport in
                var request = OutboundRequest.get(server.url())
                request.method = "POST"
                request.body = [UInt8](repeating: UInt8(ascii: "z"), count: 3 << 20)
                #expect(transport.response(request)?.status == 200)
                #expect(server.requests[0].hasSuffix(String(repeating: "z", count: 3 << 20)))
                #expect(!server.requests[0].prefix(400).contains("Expect"))
            }
        }
    }

    @Test("header values that are not UTF-8 are read as ISO-8859-1, so that no byte is lost")
    func headerBytes() {
        let server = LoopbackServer { peer in
            while peer.request() != nil {
                peer.send(
                    bytes: Array("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nOld: caf".utf8) + [
                        0xE9, 0x80, 0xFF,
                    ]
                        + Array("\r\nNew: café\r\n\r\n".utf8))
            }
        }
        withServer(server) { server in
            withTransport { transport in
                let headers = transport.response(.get(server.url()))?.headers
                #expect(headers?["old"] == "caf\u{E9}\u{80}\u{FF}")
                #expect(headers?["new"] == "café")
            }
        }
    }

    @Test(
        "an answer with two values of a header that says how to read its body is unreadable",
        arguments: [
            ("content-length: 2", "Content-Length"), ("Content-Length: 3", nil),
            ("Content-Type: text/plain", "Content-Type"), ("content-type: text/html", nil),
            ("Content-Encoding: identity\r\nContent-Encoding: identity", nil),
        ])
    func contradictions(lines: String, name: String?) {
        let server = LoopbackServer { peer in
            while peer.request() != nil {
                peer.send(
                    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Type: text/html\r\n\(lines)\r\n\r\nabc")
            }
        }
        withServer(server) { server in
            withTransport { transport in
                let response = transport.response(.get(server.url()))
                #expect(response?.fault == name.map { "it has several \($0) headers" })
            }
        }
    }

    @Test("status, headers in order and body come back; 1xx blocks and trailers are no headers")
    func responseParts() {
        let server = LoopbackServer { peer in
            while peer.request() != nil {
                peer.send(
                    "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 402 Pay\r\nA: 1\r\nb:  two \r\nA:\r\n"
                )
                peer.send("Transfer-Encoding: chunked\r\nTrailer: T\r\n\r\n3\r\nabc\r\n0\r\nT: late\r\n\r\n")
            }
        }
        withServer(server) { server in
            withTransport { transport in
                for _ in 0..<2 {
                    let response = transport.response(.get(server.url()))
                    #expect(response?.status == 402)
                    #expect(response?.body == Array("abc".utf8))
                    #expect(
                        response?.headers == [
                            HTTPHeader("A", "1"), HTTPHeader("b", "two"), HTTPHeader("A", ""),
                            HTTPHeader("Transfer-Encoding", "chunked"), HTTPHeader("Trailer", "T"),
                        ])
                }
            }
        }
    }

    @Test("a redirect is handed back and not followed", arguments: [301, 302, 303, 307, 308])
    func redirects(status: Int) {
        let server = LoopbackServer { peer in
            while peer.request() != nil {
                peer.answer("", status: "\(status) Go", headers: "Location: /next\r\n")
            }
        }
        withServer(server) { server in
            withTransport { transport in
                let response = transport.response(.get(server.url()))
                #expect(response?.status == status)
                #expect(response?.headers["location"] == "/next")
                #expect(server.requests.count == 1)
            }
        }
    }

    @Test(
        "a URL in the form of a web address is sent exactly so",
        arguments: [
            ("http://127.1:PORT", "/"), ("HTTP://127.0.0.1:PORT?a=b", "/?a=b"),
            ("http://0x7f.1:0PORT/A", "/A"),
            ("http://2130706433:PORT/a/../b/./c//d?x=/../", "/a/../b/./c//d?x=/../"),
            ("http://127.0.0.1:PORT//x?", "//x?"), ("http://127.0.0.1:PORT/?a?b", "/?a?b"),
        ])
    func sentForm(written: String, target: String) throws {
        try withServer(.answering()) { server in
            try withTransport { transport in
                let form = try WebAddress(written.replacing("PORT", with: "\(server.port)")).text
                #expect(transport.response(.get(form))?.status == 200)
                #expect(form == "http://127.0.0.1:\(server.port)\(target)")
                #expect(
                    server.requests.first?.hasPrefix(
                        "GET \(target) HTTP/1.1\r\nHost: 127.0.0.1:\(server.port)\r\n") == true)
            }
        }
    }

    @Test("the outcome carries the instants at which the transfer started and ended")
    func instants() {
        withServer(.answering()) { server in
            withTransport { transport in
                guard let outcome = transport.outcome(.get(server.url())) else {
                    Issue.record("no outcome")
                    return
                }
                #expect(outcome.startedAt <= outcome.finishedAt)
                #expect(outcome.finishedAt - outcome.startedAt < .seconds(5))
            }
        }
    }
}
