import MicroHTTPServer
import Ports
import Testing
import Values

@Suite("HTTP listener: deadlines, callers that leave, shutting down")
struct LifetimeTests {
    private static let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

    private var brief: ListenerLimits {
        var limits = ListenerLimits()
        limits.requestTime = .milliseconds(300)
        limits.idleTime = .milliseconds(300)
        return limits
    }

    @Test(
        "A request that drips in is closed at the deadline",
        arguments: [
            "", "GET", "GET / HTTP/1.1\r\nHost: x\r\nX-A: ",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n",
        ])
    func drips(start: String) throws {
        try withListener(limits: brief) { listener in
            let client = try RawClient(port: listener.port)
            let began = ContinuousClock.now
            client.send(start)
            // Each byte is sent only once the one before it cannot have been the last straw.
            let isClosed = eventually(within: .seconds(2)) { !client.send("a") }
            #expect(isClosed)
            let length = ContinuousClock.now - began
            #expect(length >= .milliseconds(250))
        }
    }

    @Test("A kept connection without a request is closed after the idle time")
    func idling() throws {
        try withListener(limits: brief) { listener in
            let client = try RawClient(port: listener.port)
            client.send(Self.get)
            try #expect(client.response().status == 200)
            #expect(client.readToEnd() == [])
        }
    }

    @Test("A handler may take longer than the deadlines of a request")
    func slowHandler() throws {
        let held = Held()
        try withListener(limits: brief, handler: held.hold) { listener in
            let client = try RawClient(port: listener.port)
            client.send(Self.get)
            #expect(eventually { held.count == 1 })
            let end = ContinuousClock.now + .milliseconds(500)
            #expect(eventually { ContinuousClock.now > end })
            held.answerAll(InboundResponse(status: 200, body: [0x61]))
            try #expect(client.response().text == "a")
        }
    }

    @Test("A caller that leaves while it waits is noticed, and its late answer does nothing")
    func leavingCaller() throws {
        let held = Held()
        try withListener(limits: brief, handler: held.hold) { listener in
            let clients = try (0..<10).map { _ in try RawClient(port: listener.port) }
            for client in clients { client.send(Self.get) }
            #expect(eventually { held.count == 10 })
            #expect(listener.requestCountUnderWay == 10)
            for client in clients { client.close() }
            #expect(eventually { listener.requestCountUnderWay == 0 })
            held.answerAll(InboundResponse(status: 200))
            #expect(listener.requestCountUnderWay == 0)
        }
    }

    @Test("Requests that are answered while the listener drains get their answers")
    func drainWithAnswers() throws {
        let held = Held()
        let listener = try MicroHTTPServer.start(
            address: "127.0.0.1", port: 0, limits: ListenerLimits(), clock: { Instant(milliseconds: 0) },
            handler: ClosureHandler(body: held.hold))
        let clients = try (0..<20).map { _ in try RawClient(port: listener.port) }
        for client in clients { client.send(Self.get) }
        #expect(eventually { held.count == 20 })
        let stopping = WorkerThread(name: "stopping") { listener.shutDown(drain: .seconds(5)) }
        let port = listener.port
        #expect(eventually { (try? RawClient(port: port)) == nil })
        held.answerAll(InboundResponse(status: 200, body: [0x61]))
        for client in clients {
            let response = try client.response()
            #expect(response.status == 200)
            #expect(response.headers["connection"]?.lowercased() == "close")
        }
        stopping.join()
    }

    @Test("Requests that nobody answers get 503, and answers after the end do nothing")
    func drainWithoutAnswers() throws {
        let held = Held()
        let listener = try MicroHTTPServer.start(
            address: "127.0.0.1", port: 0, threadCount: 2, limits: ListenerLimits(),
            clock: { Instant(milliseconds: 0) }, handler: ClosureHandler(body: held.hold))
        let clients = try (0..<20).map { _ in try RawClient(port: listener.port) }
        for client in clients { client.send(Self.get) }
        #expect(eventually { held.count == 20 })
        listener.shutDown(drain: .milliseconds(50))
        for client in clients { try #expect(client.response().status == 503) }
        held.answerAll(InboundResponse(status: 200))
        listener.shutDown(drain: .zero)
    }

    @Test("More connections than one address may have are not served")
    func connectionsPerAddress() throws {
        var limits = ListenerLimits()
        limits.connectionCountMaxPerAddress = 2
        try withListener(limits: limits) { listener in
            let kept = try (0..<2).map { _ in try RawClient(port: listener.port) }
            for client in kept {
                client.send(Self.get)
                try #expect(client.response().status == 200)
            }
            let third = try RawClient(port: listener.port)
            third.send(Self.get)
            #expect(throws: ClientProblem.self) { try third.response() }
        }
    }

    @Test(
        "However many requests are ready together, all are answered at once",
        arguments: [127, 128, 129, 256, 384], [1, 2])
    func requestsReadyTogether(count: Int, threadCount: Int) throws {
        // The first request of each thread keeps it busy until the others have arrived.
        let (busy, gate, answered) = (Tally(), Lock(), Tally())
        let handle: @Sendable (InboundRequest, @escaping @Sendable (InboundResponse) -> Void) -> Void = {
            if $0.path == "/busy" {
                busy.increase()
                gate.withLock {}
            } else {
                answered.increase()
            }
            $1(InboundResponse(status: 200))
        }
        try withListener(threadCount: threadCount, handler: handle) { listener in
            let clients = try (0..<count).map { _ in try RawClient(port: listener.port) }
            for client in clients {
                client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                _ = try client.response()
            }
            #expect(answered.count == count)
            gate.lock()
            var blockers: [RawClient] = []
            for number in 1...threadCount {
                // Which thread accepts is not ours to choose, so we try until each has one.
                let isBusy = eventually {
                    guard busy.count < number, let blocker = try? RawClient(port: listener.port) else {
                        return busy.count >= number
                    }
                    blockers.append(blocker)
                    blocker.send("GET /busy HTTP/1.1\r\nHost: x\r\n\r\n")
                    return eventually(within: .milliseconds(200)) { busy.count >= number }
                }
                #expect(isBusy)
            }
            for client in clients { client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n") }
            gate.unlock()
            #expect(eventually(within: .seconds(4)) { answered.count == 2 * count })
        }
    }
}
