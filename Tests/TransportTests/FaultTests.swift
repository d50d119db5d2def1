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
                #expect(transport.failure(request)?.label == "response_too_large")
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
                #expect(transport.failure(.get(server.url()))?.label == "response_too_large")
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
                #expect(
                    transport.failure(.get(server.url(), timeout: .seconds(1)))?.label == "response_too_large"
                )
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
        let ended = Outcomes()
        let now = Instant(microseconds: 0)
        let server = LoopbackServer { peer in
            guard peer.request() != nil else { return }
            peer.answer("one")
            peer.endSending()
            ended.add(TransferOutcome(result: .failure(.cancelled), startedAt: now, finishedAt: now))
        }
        withServer(server) { server in
            withTransport { transport in
                for count in 1...5 {
                    #expect(transport.response(.get(server.url()))?.status == 200)
                    #expect(ended.wait(for: count))
                }
                #expect(server.connectionCount == 5)
                #expect(server.requests.count == 5)
            }
        }
    }

    /// What a server does with the second request on a connection.
    enum Death: CaseIterable { case readsAndCloses, readsAndResets, closesUnread, closesWithinBody }

    private static func server(dying death: Death, answering count: Int) -> LoopbackServer {
        LoopbackServer { peer in
            for _ in 0..<count where peer.request() != nil { peer.answer("one") }
            switch death {
            case .readsAndCloses: _ = peer.request()
            case .readsAndResets:
                _ = peer.request()
                peer.resetOnClose()
            case .closesUnread: peer.waitForBytes()
            case .closesWithinBody: _ = peer.receive()
            }
        }
    }

    private static func post(_ url: String, bodyByteCount: Int = 4) -> OutboundRequest {
        var request = OutboundRequest.get(url)
        request.method = "POST"
        request.body = [UInt8](repeating: UInt8(ascii: "b"), count: bodyByteCount)
        return request
    }

    @Test("a request leaves once, also if the kept connection ends under it", arguments: Death.allCases)
    func leavesOnce(death: Death) {
        withServer(Self.server(dying: death, answering: 1)) { server in
            withTransport { transport in
                // Three kept connections: the request that fails must not go out on another of them.
                let first = Outcomes()
                for _ in 0..<3 { transport.send(.get(server.url())) { first.add($0) } }
                #expect(first.wait(for: 3))
                let (kept, answered) = (server.connectionCount, server.requests.count)
                let failure = transport.failure(Self.post(server.url(), bodyByteCount: 3 << 20))
                // Within a large body, curl may say itself that the connection broke off.
                let expected =
                    [.closesWithinBody, .closesUnread].contains(death)
                    ? ["connection", "interrupted"] : ["connection"]
                #expect(expected.contains(failure?.label ?? ""), "\(String(describing: failure))")
                #expect(server.connectionCount == kept, "nothing was opened for a second sending")
                #expect(server.requests.count - answered <= 1)
            }
        }
    }

    @Test("the next request after one that was lost with its kept connection goes out on a new one")
    func goesOn() {
        withServer(Self.server(dying: .readsAndCloses, answering: 1)) { server in
            withTransport { transport in
                let labels = (0..<6).map { _ in transport.failure(Self.post(server.url()))?.label }
                #expect(labels == [nil, "connection", nil, "connection", nil, "connection"])
                #expect(server.requests.count == 6)
                #expect(server.connectionCount == 3)
            }
        }
    }

    @Test("a request that is not to be repeated gets a connection of its own", arguments: Death.allCases)
    func ownConnection(death: Death) {
        withServer(Self.server(dying: death, answering: 1)) { server in
            withTransport { transport in
                var request = Self.post(server.url())
                request.mayReuseConnection = false
                for _ in 0..<5 { #expect(transport.response(request)?.status == 200) }
                #expect(server.requests.count == 5)
                #expect(server.connectionCount == 5)
            }
        }
    }
}
