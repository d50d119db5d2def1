import Ports
import TestSupport
import Values

/// Carries requests to their peers, with the seed's faults on the way.
final class Network: @unchecked Sendable {
    // Unchecked: used by one thread.
    typealias Answer = @Sendable (Result<OutboundResponse, TransportFailure>) -> Void
    /// Gives a request to whoever lives at its address; false where nobody does.
    typealias Delivery =
        @Sendable (OutboundRequest, _ respond: @escaping @Sendable (InboundResponse) -> Void) -> Bool

    private let timeline: Timeline
    private var random: SeededRandom
    private let deliver: Delivery
    private let observe: (NetworkFault) -> Void
    /// Of a hundred exchanges that go wrong.
    var faultPercent: Int

    init(
        _ timeline: Timeline, _ random: SeededRandom, faultPercent: Int,
        observe: @escaping (NetworkFault) -> Void, deliver: @escaping Delivery
    ) {
        self.timeline = timeline
        self.random = random
        self.faultPercent = faultPercent
        self.observe = observe
        self.deliver = deliver
    }

    /// Sends a request; `answer` is called exactly once, at the latest when its time is over.
    func carry(_ request: OutboundRequest, answer: @escaping Answer) {
        let once = Once(answer)
        timeline.plan(after: request.timeout) { once(.failure(.timeout)) }
        let fault = random.happens(faultPercent) ? random.pick(NetworkFault.allCases) : nil
        if let fault { observe(fault) }
        let there = random.duration(.milliseconds(1), .milliseconds(60))
        var back = random.duration(.milliseconds(1), .milliseconds(60))
        switch fault {
        case .refused:
            return plan(there) { once(.failure(.connection(reason: "refused"))) }
        case .requestLost: return
        case .outage: return plan(there + back) { once(Self.status(as: 503)) }
        case .rateLimited: return plan(there + back) { once(Self.status(as: 429)) }
        case .slow: back += random.duration(.seconds(1), .seconds(45))
        case .doubled:
            plan(there + random.duration(.milliseconds(1), .seconds(3))) { [self] in
                _ = deliver(request) { _ in }
            }
        default: break
        }
        let wayBack = back
        plan(there) { [self] in
            let isThere = deliver(request) { [self] response in
                plan(wayBack) { Self.answer(response, fault, once) }
            }
            if !isThere { once(.failure(.connection(reason: "nobody is there"))) }
        }
    }

    private static func answer(_ response: InboundResponse, _ fault: NetworkFault?, _ once: Once) {
        switch fault {
        case .answerLost: break
        case .resetAfterWork: once(.failure(.interrupted(reason: "reset")))
        case .outageAfterWork: once(status(as: 502))
        default:
            if response.dropsConnection { return once(.failure(.interrupted(reason: "dropped"))) }
            once(
                .success(
                    OutboundResponse(
                        status: response.status, headers: response.headers, body: response.body)))
        }
    }

    private static func status(as status: Int) -> Result<OutboundResponse, TransportFailure> {
        let headers = status == 429 ? [HTTPHeader("retry-after", "2")] : []
        return .success(OutboundResponse(status: status, headers: headers, body: Array("out of order".utf8)))
    }

    private func plan(_ delay: Duration, _ action: @escaping @Sendable () -> Void) {
        timeline.plan(after: delay, action)
    }

    /// The first answer counts.
    private final class Once: @unchecked Sendable {
        // Unchecked: used by one thread.
        private var answer: Answer?

        init(_ answer: @escaping Answer) { self.answer = answer }

        func callAsFunction(_ result: Result<OutboundResponse, TransportFailure>) {
            guard let answer else { return }
            self.answer = nil
            answer(result)
        }
    }
}

/// A transport on the simulated network: of one process, or of the world.
final class SimulatedTransport: Transport, @unchecked Sendable {
    // Unchecked: used by one thread.
    private let timeline: Timeline
    private let network: Network
    private let clock: any RunClock
    private let life: Life?
    private let observe: @Sendable (OutboundRequest) -> Void
    private var count: UInt64 = 0
    private var open: [UInt64: @Sendable (Result<OutboundResponse, TransportFailure>) -> Void] = [:]

    init(
        _ timeline: Timeline, _ network: Network, clock: any RunClock, life: Life? = nil,
        observe: @escaping @Sendable (OutboundRequest) -> Void = { _ in }
    ) {
        self.timeline = timeline
        self.network = network
        self.clock = clock
        self.life = life
        self.observe = observe
    }

    @discardableResult
    func send(_ request: OutboundRequest, completion: @escaping @Sendable (TransferOutcome) -> Void)
        -> TransferID
    {
        count += 1
        let number = count
        guard life?.spend("a request leaves") ?? true else { return TransferID(number: number) }
        observe(request)
        let startedAt = clock.now()
        open[number] = { [clock, life] result in
            if life?.isOver ?? false { return }
            completion(TransferOutcome(result: result, startedAt: startedAt, finishedAt: clock.now()))
        }
        network.carry(request) { [self] in finish(number, $0) }
        return TransferID(number: number)
    }

    private func finish(_ number: UInt64, _ result: Result<OutboundResponse, TransportFailure>) {
        open.removeValue(forKey: number)?(result)
    }

    func cancel(_ id: TransferID) {
        timeline.plan(after: .zero) { [self] in finish(id.number, .failure(.cancelled)) }
    }

    func perform(_ action: @escaping @Sendable () -> Void) {
        timeline.plan(after: .zero) { [life] in if !(life?.isOver ?? false) { action() } }
    }

    func shutDown() {}
}
