import Clocks
import CurlTransport
import Ports
import Testing
import Values

@Suite("CurlTransport: withdrawing and shutting down")
struct LifecycleTests {
    @Test("a transfer in flight and one in the queue can be withdrawn; a second time does nothing")
    func cancelling() {
        let silent = LoopbackServer { peer in while peer.receive() {} }
        withServer(silent) { server in
            var options = CurlTransportOptions()
            options.transferCountMax = 1
            withTransport(options) { transport in
                let outcomes = Outcomes()
                let first = transport.send(.get(server.url())) { outcomes.add($0, tag: 1) }
                let second = transport.send(.get(server.url())) { outcomes.add($0, tag: 2) }
                transport.cancel(second)
                #expect(outcomes.wait(for: 1))
                transport.cancel(first)
                #expect(outcomes.wait(for: 2))
                for id in [first, second, TransferID(number: 12_345)] { transport.cancel(id) }
                #expect(transport.failure(.get("x"))?.label == "invalid_request")
                #expect(outcomes.tags == [2, 1])
                #expect(outcomes.failures == [.cancelled, .cancelled])
            }
        }
    }

    @Test("after withdrawn transfers the same handles serve others")
    func afterCancelling() {
        let server = LoopbackServer { peer in
            while let request = peer.request() { if !request.contains("/silent") { peer.answer("ok") } }
        }
        withServer(server) { server in
            withTransport { transport in
                for _ in 0..<20 {
                    let outcomes = Outcomes()
                    let id = transport.send(.get(server.url("/silent"))) { outcomes.add($0) }
                    transport.cancel(id)
                    #expect(outcomes.wait(for: 1))
                    #expect(transport.response(.get(server.url()))?.status == 200)
                }
            }
        }
    }

    @Test("shutting down completes what is in flight and what waits, each exactly once, before it returns")
    func shutDown() {
        let silent = LoopbackServer { peer in while peer.receive() {} }
        withServer(silent) { server in
            var options = CurlTransportOptions()
            options.transferCountMax = 10
            let clock = SystemClock()
            let transport = CurlTransport(options: options) { clock.now() }
            let outcomes = Outcomes()
            for index in 0..<100 {
                transport.send(.get(server.url(), pool: Int64(index % 4))) { outcomes.add($0, tag: index) }
            }
            transport.shutDown()
            #expect(outcomes.tags.sorted() == Array(0..<100))
            #expect(outcomes.failures == Array(repeating: .cancelled, count: 100))
            transport.send(.get(server.url())) { outcomes.add($0, tag: 100) }
            #expect(outcomes.tags.count == 101)
            #expect(outcomes.failures.last == .cancelled)
            transport.shutDown()
            clock.shutDown()
        }
    }

    @Test("sending from many threads while it shuts down completes every request exactly once")
    func shutDownRace() {
        withServer(.answering()) { server in
            let clock = SystemClock()
            let transport = CurlTransport { clock.now() }
            let outcomes = Outcomes()
            let url = server.url()
            let threads = (0..<4).map { number in
                WorkerThread(name: "sender") {
                    for index in 0..<200 {
                        transport.send(.get(url)) { outcomes.add($0, tag: number * 200 + index) }
                    }
                }
            }
            #expect(outcomes.wait(for: 20))
            transport.shutDown()
            for thread in threads { thread.join() }
            #expect(outcomes.tags.sorted() == Array(0..<800))
            clock.shutDown()
        }
    }

    @Test("a completion may send again, valid or not, a thousand times over")
    func reentrant() {
        withServer(.answering()) { server in
            withTransport { transport in
                let outcomes = Outcomes()
                let url = server.url()
                @Sendable func next(_ left: Int) {
                    let request = OutboundRequest.get(left.isMultiple(of: 2) ? url : "not a URL")
                    transport.send(request) {
                        outcomes.add($0)
                        if left > 1 { next(left - 1) }
                    }
                }
                next(1_000)
                #expect(outcomes.wait(for: 1_000))
                #expect(outcomes.responses.count == 500)
            }
        }
    }

    @Test("a completion may withdraw another transfer and shut the transport down")
    func reentrantEnd() {
        let server = LoopbackServer { peer in
            while let request = peer.request() { if request.contains("/quick") { peer.answer("ok") } }
        }
        withServer(server) { server in
            withTransport { transport in
                let outcomes = Outcomes()
                let url = server.url("/quick")
                let slow = transport.send(.get(server.url("/slow"))) { outcomes.add($0) }
                transport.send(.get(server.url("/slow"))) { outcomes.add($0) }
                transport.send(.get(url)) {
                    outcomes.add($0)
                    transport.cancel(slow)
                    transport.shutDown()
                    transport.send(.get(url)) { outcomes.add($0) }
                }
                #expect(outcomes.wait(for: 4))
                #expect(outcomes.failures.filter { $0 == .cancelled }.count >= 2)
            }
        }
    }
}
