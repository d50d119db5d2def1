import CurlTransport
import Ports
import Testing
import Values

@Suite("CurlTransport: peers that misbehave")
struct FaultTests {
    @Test("a body above the cap fails, one of exactly the cap does not")
    func bodyCap() {
        withServer(.answering(String(repeating: "b", count: 1000))) { server in
            withTransport { transport in
                var request = OutboundRequest.get(server.url())
                request.bodyByteCountMax = 1000
                #expect(transport.response(request)?.body.count == 1000)
                request.bodyByteCountMax = 999
                #expect(transport.failure(request) == .responseTooLarge)
            }
        }
    }

    @Test("an endless body ends at the cap")
    func endlessBody() {
        let server = LoopbackServer { peer in
            guard peer.request() != nil else { return }
            peer.send("HTTP/1.1 200 OK\r\n\r\n")
            while peer.send(String(repeating: "x", count: 65_536)) {}
        }
        withServer(server) { server in
            withTransport { transport in
                #expect(transport.failure(.get(server.url())) == .responseTooLarge)
            }
        }
    }

    @Test(
        "floods of headers end",
        arguments: [
            "HTTP/1.1 200 OK\r\n" + String(repeating: "A: b\r\n", count: 201) + "\r\n",
            "HTTP/1.1 200 OK\r\n"
                + String(repeating: "A: " + String(repeating: "b", count: 1000) + "\r\n", count: 70) + "\r\n",
            "HTTP/1.1 200 OK\r\nA: " + String(repeating: "b", count: 70_000) + "\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: " + String(repeating: "b", count: 400_000) + "\r\n\r\n",
            String(repeating: "HTTP/1.1 100 Continue\r\n\r\n", count: 500),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
                + String(repeating: "T: t\r\n", count: 300)
                + "\r\n",
        ])
    func headerFloods(bytes: String) {
        let server = LoopbackServer { peer in
            guard peer.request() != nil else { return }
            peer.send(bytes)
            while peer.receive() {}
        }
        withServer(server) { server in
            withTransport { transport in
                #expect(transport.failure(.get(server.url(), timeout: .seconds(1))) == .responseTooLarge)
            }
        }
    }

    @Test("a slow drip ends at the timeout, however steadily it drips")
    func slowDrip() {
        let server = LoopbackServer { peer in
            guard peer.request() != nil else { return }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while peer.send("x") { _ = Promise<Bool>().wait(atMost: .milliseconds(20)) }
        }
        withServer(server) { server in
            withTransport { transport in
                let outcome = transport.outcome(.get(server.url(), timeout: .milliseconds(200)))
                guard case .failure(.timeout)? = outcome?.result, let outcome else {
                    Issue.record("no timeout")
                    return
                }
                #expect(outcome.finishedAt - outcome.startedAt >= .milliseconds(190))
                #expect(outcome.finishedAt - outcome.startedAt < .seconds(10))
            }
        }
    }

    @Test("a peer that never answers is a timeout, and the silence limit comes first where it is shorter")
    func silence() {
        let server = LoopbackServer { peer in while peer.receive() {} }
        withServer(server) { server in
            var options = CurlTransportOptions()
            options.silenceTimeMax = .seconds(1)
            withTransport(options) { transport in
                #expect(transport.failure(.get(server.url(), timeout: .milliseconds(100))) == .timeout)
                let outcome = transport.outcome(.get(server.url(), timeout: .seconds(9)))
                guard case .failure(.timeout)? = outcome?.result, let outcome else {
                    Issue.record("no timeout")
                    return
                }
                #expect(outcome.finishedAt - outcome.startedAt < .seconds(5))
            }
        }
    }

    @Test(
        "an answer that breaks off is interrupted",
        arguments: [
            "", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "HTTP/1.1 200 OK\r\nContent-Le",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "SSH-2.0-x\r\n",
        ], [true, false])
    func interrupted(bytes: String, resets: Bool) {
        let server = LoopbackServer { peer in
            guard peer.request() != nil else { return }
            peer.send(bytes)
            if resets { peer.resetOnClose() }
        }
        withServer(server) { server in
            withTransport { transport in
                #expect(transport.failure(.get(server.url()))?.label == "interrupted")
            }
        }
    }

    @Test("where nothing listens it is a failed connection, without the address in its reason")
    func refused() {
        let server = LoopbackServer.answering()
        server.stop()
        withTransport { transport in
            let failure = transport.failure(.get(server.url()))
            #expect(failure == .connection(reason: "nothing listens there"))
        }
    }

    @Test("a name that does not resolve is a failed connection")
    func unresolved() {
        withTransport { transport in
            let failure = transport.failure(.get("http://name.invalid/", timeout: .seconds(3)))
            #expect(failure?.label == "connection")
        }
    }

    @Test("TLS with a peer that speaks none fails as such")
    func plainPeer() {
        let server = LoopbackServer { peer in
            if peer.receive() { peer.send("HTTP/1.1 400 Bad Request\r\n\r\n") }
        }
        withServer(server) { server in
            withTransport { transport in
                #expect(transport.failure(.get("https://127.0.0.1:\(server.port)/"))?.label == "tls")
            }
        }
    }

    @Test("a kept connection that the peer closed between two requests is replaced")
    func closedBetween() {
        let server = LoopbackServer { peer in
            if peer.request() != nil { peer.answer("one") }
        }
        withServer(server) { server in
            withTransport { transport in
                for _ in 0..<5 { #expect(transport.response(.get(server.url()))?.status == 200) }
                #expect(server.connectionCount == 5)
                #expect(server.requests.count == 5)
            }
        }
    }

    @Test(
        "a kept connection that dies as the next request arrives is replaced, with the same bytes sent again")
    func diesOnReuse() {
        let server = LoopbackServer { peer in
            if peer.request() != nil { peer.answer("one") }
            // The next request is read and left without an answer.
            _ = peer.request()
        }
        withServer(server) { server in
            withTransport { transport in
                var request = OutboundRequest.get(server.url())
                request.method = "POST"
                request.headers = [HTTPHeader("Idempotency-Key", "same")]
                request.body = Array("body".utf8)
                for _ in 0..<2 { #expect(transport.response(request)?.status == 200) }
                #expect(server.connectionCount == 2)
                #expect(server.requests.count == 3)
                #expect(Set(server.requests).count == 1)
            }
        }
    }
}
