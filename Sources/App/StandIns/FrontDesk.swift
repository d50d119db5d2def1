import Ports
import Values

/// What a provider adds to what all stand-ins have in common.
protocol Provider: AnyObject, Sendable {
    /// Methods on which an idempotency key counts; empty where the provider knows no keys.
    var keyedMethods: Set<String> { get }
    /// Longest key in characters.
    var keyLengthMax: Int { get }
    /// A page that needs no key, as the buyer's browser opens it; nil for everything else.
    func page(_ call: StandInCall) -> InboundResponse?
    /// Whether the caller may come in.
    func admits(_ call: StandInCall, key: String?) -> Bool
    /// Does the work of a call that was let in.
    func answer(_ call: StandInCall) -> StandInAnswer
    /// A refusal in the provider's own words.
    func refusal(_ reason: StandInRefusal) -> InboundResponse
    /// Adds the headers that every answer of the provider carries.
    func finished(_ response: InboundResponse, for call: StandInCall, isReplay: Bool) -> InboundResponse
    /// A control under `/_standin/` that only this provider has; nil for an unknown one.
    func control(_ call: StandInCall) -> InboundResponse?
}

extension Provider {
    var keyedMethods: Set<String> { ["POST"] }
    var keyLengthMax: Int { 255 }
    func page(_ call: StandInCall) -> InboundResponse? { nil }
    func finished(_ response: InboundResponse, for call: StandInCall, isReplay: Bool) -> InboundResponse {
        response
    }
    func control(_ call: StandInCall) -> InboundResponse? { nil }
}

/// Where every request of a stand-in passes first and last: log, faults, API key, idempotency key.
///
/// Controls need no key: `GET|DELETE /_standin/log`, `GET|POST|DELETE /_standin/faults`.
package final class FrontDesk: @unchecked Sendable {
    // Unchecked: `requestLog`, `faults` and `register` are read and written under `lock`.
    private let lock = Lock()
    private let clock: any RunClock
    private let apiKey: String?
    private var requestLog: RequestLog
    private var faults: [Fault] = []
    private var register: KeyRegister

    init(clock: any RunClock, options: StandInOptions, keyRetention: Duration = .seconds(24 * 3600)) {
        self.clock = clock
        apiKey = options.apiKey
        requestLog = RequestLog(countMax: options.logCountMax)
        register = KeyRegister(retention: keyRetention)
    }

    /// The requests that reached the stand-in, oldest first, within the log's bound.
    package var log: [LoggedRequest] { lock.withLock { requestLog.entries } }

    /// All requests since the start, also those that the log no longer holds.
    package var requestCount: Int { lock.withLock { requestLog.totalCount } }

    /// Shows a fault to the next requests that match; of several, the one asked for first goes first.
    package func inject(_ fault: Fault) { lock.withLock { faults.append(fault) } }

    /// Forgets the faults that have not been met.
    package func clearFaults() { lock.withLock { faults.removeAll() } }

    func handle(
        _ request: InboundRequest, for provider: any Provider,
        respond: @escaping @Sendable (InboundResponse) -> Void
    ) {
        if request.path.hasPrefix("/_standin/") {
            let call = StandInCall(request: request, number: 0)
            return respond(
                sharedControl(call) ?? provider.control(call) ?? .controlProblem(404, "no such control"))
        }
        let number = lock.withLock { requestLog.open(request, at: clock.now()) }
        let call = StandInCall(request: request, number: number)
        let visit = Visit(call: call, provider: provider, fault: takeFault(for: call), respond: respond)
        switch visit.fault?.kind {
        case .status: leave(visit, provider.refusal(.outage(status: visit.fault?.status ?? 500)))
        case .rateLimited:
            let seconds = String(visit.fault?.retryAfterSeconds ?? 1)
            leave(visit, provider.refusal(.rateLimited).adding("Retry-After", seconds))
        case .reset: leave(visit, InboundResponse(status: 0, dropsConnection: true))
        default: admit(visit)
        }
    }

    // MARK: - Stations of a request

    /// One request with everything that is needed to finish it.
    private struct Visit: Sendable {
        let call: StandInCall
        let provider: any Provider
        let fault: Fault?
        let respond: @Sendable (InboundResponse) -> Void
        var key: String?
    }

    private func admit(_ visit: Visit) {
        let (call, provider) = (visit.call, visit.provider)
        if let page = provider.page(call) { return leave(visit, page) }
        guard provider.admits(call, key: apiKey) else {
            return leave(visit, provider.refusal(.unauthorized(isMissing: call.presentedKey == nil)))
        }
        guard provider.keyedMethods.contains(call.method), let key = call.idempotencyKey, !key.isEmpty else {
            return begin(visit)
        }
        guard key.count <= provider.keyLengthMax else { return leave(visit, provider.refusal(.keyTooLong)) }
        switch lock.withLock({ register.claim(key, by: call.request, at: clock.now()) }) {
        case .replay(let response): leave(visit, response, isReplay: true)
        case .reused: leave(visit, provider.refusal(.keyReused))
        case .inProgress: leave(visit, provider.refusal(.keyInProgress))
        case .fresh:
            var keyed = visit
            keyed.key = key
            begin(keyed)
        }
    }

    private func begin(_ visit: Visit) {
        guard let fault = visit.fault, fault.kind == .delay else { return work(visit) }
        clock.schedule(after: fault.delay) { self.work(visit) }
    }

    private func work(_ visit: Visit) {
        let provider = visit.provider
        let answer = provider.answer(visit.call)
        var kept = answer.isStored ? answer.response : nil
        var shown = answer.response
        switch visit.fault?.kind {
        case .resetAfterWork: shown = InboundResponse(status: 0, dropsConnection: true)
        case .statusAfterWork: shown = provider.refusal(.outage(status: visit.fault?.status ?? 500))
        case .storedStatus:
            shown = provider.refusal(.brokeWhileWorking(status: visit.fault?.status ?? 500))
            kept = shown
        default: break
        }
        if let key = visit.key { lock.withLock { register.settle(key, with: kept) } }
        leave(visit, shown)
    }

    private func leave(_ visit: Visit, _ response: InboundResponse, isReplay: Bool = false) {
        let finished = visit.provider.finished(response, for: visit.call, isReplay: isReplay)
        lock.withLock {
            requestLog.close(visit.call.number, with: finished, isReplay: isReplay, fault: visit.fault)
        }
        visit.respond(finished)
    }

    private func takeFault(for call: StandInCall) -> Fault? {
        lock.withLock {
            guard let index = faults.firstIndex(where: { $0.applies(to: call) }) else { return nil }
            let fault = faults[index]
            faults[index].times -= 1
            if faults[index].times < 1 { faults.remove(at: index) }
            return fault
        }
    }

    // MARK: - Controls

    private func sharedControl(_ call: StandInCall) -> InboundResponse? {
        switch call.route {
        case "GET /_standin/log": return shownLog(call)
        case "DELETE /_standin/log":
            lock.withLock { requestLog.clear() }
            return .json(200, ["ok": true])
        case "GET /_standin/faults":
            return .json(200, ["faults": .array(lock.withLock { faults.map(\.value) })])
        case "POST /_standin/faults": return addFault(call)
        case "DELETE /_standin/faults":
            clearFaults()
            return .json(200, ["ok": true])
        default: return nil
        }
    }

    /// The log, narrowed by `method=`, `path=` (its beginning) and `after=` (a number).
    private func shownLog(_ call: StandInCall) -> InboundResponse {
        func asked(_ name: String) -> String? { call.request.query.first { $0.name == name }?.value }
        let after = asked("after").flatMap { Int($0) } ?? 0
        let (entries, total) = lock.withLock { (requestLog.entries, requestLog.totalCount) }
        let shown = entries.filter { entry in
            entry.number > after && (asked("method").map { $0 == entry.method } ?? true)
                && (asked("path").map { entry.path.hasPrefix($0) } ?? true)
        }
        return .json(200, ["total": .int(Int64(total)), "requests": .array(shown.map(\.value))])
    }

    private func addFault(_ call: StandInCall) -> InboundResponse {
        guard let body = call.controlBody else { return .controlProblem(400, "the body is no JSON map") }
        do {
            let fault = try Fault(body)
            inject(fault)
            return .json(201, fault.value)
        } catch {
            return .controlProblem(400, error.message)
        }
    }
}
