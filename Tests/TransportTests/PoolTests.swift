import CurlTransport
import Ports
import Testing
import Values

@Suite("CurlTransport: pools and limits")
struct PoolTests {
    @Test("one connection serves request after request of a pool")
    func reuse() {
        withServer(.answering()) { server in
            withTransport { transport in
                for _ in 0..<50 { #expect(transport.response(.get(server.url()))?.status == 200) }
                #expect(server.connectionCount == 1)
            }
        }
    }

    @Test("a round in flight opens a connection each, and the next rounds open none")
    func reuseInParallel() {
        withServer(.answering()) { server in
            withTransport { transport in
                for round in 1...5 {
                    let outcomes = Outcomes()
                    for _ in 0..<40 { transport.send(.get(server.url())) { outcomes.add($0) } }
                    #expect(outcomes.wait(for: 40))
                    #expect(outcomes.responses.count == 40, "round \(round)")
                }
                #expect(server.connectionCount <= 40)
            }
        }
    }

    @Test("pools never share a connection")
    func poolsApart() {
        withServer(.answering()) { server in
            withTransport { transport in
                for _ in 0..<3 {
                    for pool in 1...4 {
                        #expect(transport.response(.get(server.url(), pool: Int64(pool)))?.status == 200)
                    }
                }
                #expect(server.connectionCount == 4)
            }
        }
    }

    @Test("an idle pool is closed, and so is the longest idle one where there are too many")
    func idlePools() {
        let gone = Outcomes()
        let server = LoopbackServer { peer in
            while peer.request() != nil { peer.answer("x") }
            gone.add(
                TransferOutcome(
                    result: .failure(.cancelled), startedAt: .init(microseconds: 0),
                    finishedAt: .init(microseconds: 0)))
        }
        withServer(server) { server in
            var options = CurlTransportOptions()
            options.poolCountMax = 2
            withTransport(options) { transport in
                for pool: Int64 in [1, 2, 3] {
                    #expect(transport.response(.get(server.url(), pool: pool))?.status == 200)
                }
                #expect(gone.wait(for: 1))
                #expect(transport.response(.get(server.url(), pool: 3))?.status == 200)
                #expect(server.connectionCount == 3)
            }
            options.poolIdleTime = .milliseconds(40)
            withTransport(options) { transport in
                #expect(transport.response(.get(server.url(), pool: 9))?.status == 200)
                #expect(gone.wait(for: 4))
            }
        }
    }

    /// Answers only when told, and counts what is under way.
    private final class Gate: @unchecked Sendable {
        // Unchecked: counts are touched under `lock`.
        private let lock = Lock()
        private(set) var most = 0
        private var now = 0

        func serve(_ peer: Peer, for time: Duration) {
            while peer.request() != nil {
                lock.withLock {
                    now += 1
                    most = max(most, now)
                }
                _ = Promise<Bool>().wait(atMost: time)
                lock.withLock { now -= 1 }
                peer.answer("x")
            }
        }
    }

    @Test("no more than the limit for a host is in flight there, and all are answered")
    func hostLimit() {
        let gate = Gate()
        withServer(LoopbackServer { gate.serve($0, for: .milliseconds(3)) }) { server in
            var options = CurlTransportOptions()
            options.transferCountMaxPerHost = 4
            withTransport(options) { transport in
                let outcomes = Outcomes()
                for index in 0..<100 {
                    transport.send(.get(server.url(), pool: Int64(index % 3))) { outcomes.add($0) }
                }
                #expect(outcomes.wait(for: 100))
                #expect(outcomes.responses.count == 100)
                #expect(gate.most == 4)
            }
        }
    }

    /// Lets only so many of those through that have waited.
    private final class Doorkeeper: StartGate, @unchecked Sendable {
        // Unchecked: both counts are touched under `lock`.
        private let lock = Lock()
        private var admittedCountMax: Int
        private var count = 0

        init(admits count: Int) { admittedCountMax = count }

        var askedCount: Int { lock.withLock { count } }

        func mayStart(timeout: Duration, at now: Instant) -> Bool {
            lock.withLock {
                count += 1
                return count <= admittedCountMax
            }
        }
    }

    @Test("what had to wait is asked for again before it starts, and is not sent where it may not be")
    func lateStarts() {
        let isOpen = Promise<Bool>()
        let served = Outcomes()
        let server = LoopbackServer { peer in
            while peer.request() != nil {
                _ = isOpen.wait(atMost: .seconds(5))
                served.add(
                    TransferOutcome(
                        result: .failure(.cancelled), startedAt: .init(microseconds: 0),
                        finishedAt: .init(microseconds: 0)))
                peer.answer("x")
            }
        }
        withServer(server) { server in
            var options = CurlTransportOptions()
            options.transferCountMaxPerHost = 1
            withTransport(options) { transport in
                let (outcomes, keeper) = (Outcomes(), Doorkeeper(admits: 1))
                var request = OutboundRequest.get(server.url())
                request.gate = keeper
                // All at once, so that three are in the queue before the first is answered.
                transport.perform { [request] in
                    for _ in 0..<4 { transport.send(request) { outcomes.add($0) } }
                    isOpen.fulfil(true)
                }
                #expect(outcomes.wait(for: 4))
                #expect(keeper.askedCount == 3, "the first did not wait")
                #expect(outcomes.responses.count == 2)
                #expect(served.wait(for: 2))
                #expect(transport.response(.get(server.url()))?.status == 200, "the host is free again")
            }
        }
    }

    @Test("a host at its limit does not hold up another one, nor does a full pool")
    func slowHost() {
        let slow = LoopbackServer { peer in while peer.receive() {} }
        withServer(slow) { slow in
            withServer(.answering()) { quick in
                var options = CurlTransportOptions()
                options.transferCountMaxPerHost = 3
                options.transferCountMaxPerPool = 4
                withTransport(options) { transport in
                    for _ in 0..<20 { transport.send(.get(slow.url(), pool: 1)) { _ in } }
                    #expect(transport.response(.get(quick.url(), pool: 1))?.status == 200)
                    for _ in 0..<20 { transport.send(.get(slow.url(), pool: 2)) { _ in } }
                    #expect(transport.response(.get(quick.url(), pool: 2))?.status == 200)
                }
            }
        }
    }

    @Test("pools take turns: one with few requests does not wait behind one with many")
    func fairness() {
        let gate = Gate()
        withServer(LoopbackServer { gate.serve($0, for: .milliseconds(2)) }) { server in
            var options = CurlTransportOptions()
            options.transferCountMax = 2
            withTransport(options) { transport in
                let outcomes = Outcomes()
                for _ in 0..<100 { transport.send(.get(server.url(), pool: 1)) { outcomes.add($0, tag: 1) } }
                for _ in 0..<10 { transport.send(.get(server.url(), pool: 2)) { outcomes.add($0, tag: 2) } }
                #expect(outcomes.wait(for: 110))
                let last = outcomes.tags.lastIndex(of: 2) ?? .max
                #expect(last < 60, "the tenth of the small pool came as number \(last)")
            }
        }
    }

    @Test("more pools than may be open at once all get their turn")
    func manyPools() {
        withServer(.answering()) { server in
            var options = CurlTransportOptions()
            options.poolCountMax = 3
            withTransport(options) { transport in
                let outcomes = Outcomes()
                for index in 0..<60 {
                    transport.send(.get(server.url(), pool: Int64(index % 20))) { outcomes.add($0) }
                }
                #expect(outcomes.wait(for: 60))
                #expect(outcomes.responses.count == 60)
            }
        }
    }

    /// Answers nothing until told, and counts what has come.
    private static func holding(_ isOpen: Promise<Bool>) -> LoopbackServer {
        LoopbackServer { peer in
            while peer.request() != nil {
                _ = isOpen.wait(atMost: .seconds(20))
                peer.answer("x")
            }
        }
    }

    private static func reserved(_ url: String) -> OutboundRequest {
        var request = OutboundRequest.get(url, pool: 99, timeout: .seconds(20))
        request.egress.usesReserve = true
        return request
    }

    private func wait(_ what: Comment, _ holds: () -> Bool) {
        let end = ContinuousClock.now + patience
        while !holds(), ContinuousClock.now < end { _ = Promise<Bool>().wait(atMost: .milliseconds(2)) }
        #expect(holds(), what)
    }

    @Test("pools that hold all they may of a host leave places for the next one and for the operator")
    func shareOfHost() {
        let isOpen = Promise<Bool>()
        withServer(Self.holding(isOpen)) { server in
            withTransport { transport in
                let outcomes = Outcomes()
                for pool in 1...2 {
                    for index in 0..<150 {
                        var request = OutboundRequest.get(
                            server.url(), pool: Int64(pool), timeout: .seconds(20))
                        request.tag = .init(run: Int64(pool), step: index)
                        transport.send(request) { outcomes.add($0) }
                    }
                }
                // 128 places, of which 16 are the operator's: the two come to between 96 and 105.
                wait("the pools take their shares") { server.requests.count >= 96 }
                transport.send(.get(server.url("/third"), pool: 3, timeout: .seconds(20))) {
                    outcomes.add($0)
                }
                wait("a third tenant's request leaves at once") {
                    server.requests.contains { $0.hasPrefix("GET /third ") }
                }
                for _ in 0..<16 { transport.send(Self.reserved(server.url("/own"))) { outcomes.add($0) } }
                wait("the operator's requests leave at once") {
                    server.requests.count { $0.hasPrefix("GET /own ") } == 16
                }
                #expect(server.requests.count < 128)

                let waits = transport.placeWaits(ofRun: 1)
                #expect(waits.count >= 150 - 84)
                #expect(
                    waits.allSatisfy {
                        $0.limit == .shareOfHost(128) && $0.host == "127.0.0.1:\(server.port)"
                    })
                isOpen.fulfil(true)
                #expect(outcomes.wait(for: 317))
                #expect(outcomes.responses.count == 317)
                #expect(transport.placeWaits(ofRun: 1).isEmpty)
            }
        }
    }

    @Test("pools that hold all they may of all places leave some for the next one and for the operator")
    func shareOfAll() {
        let isOpen = Promise<Bool>()
        withServer(Self.holding(isOpen)) { server in
            withServer(.answering()) { quick in
                var options = CurlTransportOptions()
                options.transferCountMax = 64
                options.transferCountMaxPerPool = 32
                withTransport(options) { transport in
                    let outcomes = Outcomes()
                    for pool in 1...4 {
                        for index in 0..<80 {
                            var request = OutboundRequest.get(
                                server.url(), pool: Int64(pool), timeout: .seconds(20))
                            request.tag = .init(run: Int64(pool), step: index)
                            transport.send(request) { outcomes.add($0) }
                        }
                    }
                    wait("the pools take their shares") { server.requests.count >= 48 }
                    #expect(transport.response(.get(quick.url(), pool: 5))?.status == 200)
                    #expect(transport.response(Self.reserved(quick.url()))?.status == 200)
                    #expect(transport.placeWaits(ofRun: 1).first?.limit == .shareOfAll(64))
                    isOpen.fulfil(true)
                    #expect(outcomes.wait(for: 320))
                    #expect(outcomes.responses.count == 320)
                }
            }
        }
    }

    @Test("fewer than eight places are too few to be shared out: one pool may have them all")
    func fewPlaces() {
        for count in 1...7 {
            let isOpen = Promise<Bool>()
            withServer(Self.holding(isOpen)) { server in
                var options = CurlTransportOptions()
                options.transferCountMaxPerHost = count
                withTransport(options) { transport in
                    let outcomes = Outcomes()
                    for _ in 0..<10 { transport.send(.get(server.url(), pool: 1)) { outcomes.add($0) } }
                    wait("all \(count) places are taken") { server.requests.count == count }
                    isOpen.fulfil(true)
                    #expect(outcomes.wait(for: 10))
                }
            }
        }
    }
}
