import Ports
import Storage
import TestSupport
import Values

// What people do to runs that are under way or over, of which they know by looking at the list.

extension Crowd {
    /// Somebody with a key: a tenant, or the operator.
    struct Hand: Sendable {
        var tenant: TenantID
        var key: String
        /// Nil for the operator.
        var user: Int?
    }

    func hand(_ user: Int?) -> Hand {
        guard let user else { return Hand(tenant: .operatorTenant, key: ownerKey) }
        return Hand(tenant: users[user].tenant, key: users[user].key, user: user)
    }

    private func order(_ what: String, _ run: RunID, _ hand: Hand) -> OutboundRequest {
        request("POST", "/api/runs/\(run)/\(what)", key: hand.key)
    }

    // MARK: - Cancel, pause, resume

    func cancel(_ run: RunID, _ hand: Hand) {
        ask(order("cancel", run, hand), as: "cancel") { [unowned self] response in
            if response.status == 202 { simulation.oracle.note(.cancel(run, hand.tenant)) }
        }
    }

    func pause(_ run: RunID, _ hand: Hand) {
        let known = simulation.oracle.runs[run]
        let entryCount = known?.heldAt == nil ? known?.entries.count : nil
        ask(order("pause", run, hand), as: "pause") { [unowned self] response in
            guard response.status == 202 else { return }
            if let entryCount, !Simulation.isFromOlderProcess(response) {
                simulation.oracle.note(.pause(run, hand.tenant, entryCount: entryCount))
            }
            later { [unowned self] in resume(run, hand) }
        }
    }

    func resume(_ run: RunID, _ hand: Hand) {
        let known = simulation.oracle.runs[run]
        let entryCount = known?.heldAt == nil ? nil : known?.entries.count
        ask(order("resume", run, hand), as: "resume") { [unowned self] response in
            guard response.status == 202, let entryCount, !Simulation.isFromOlderProcess(response) else {
                return
            }
            simulation.oracle.note(.resume(run, hand.tenant, entryCount: entryCount))
        }
    }

    // MARK: - Looking through the runs

    /// Somebody goes through the list of runs and takes one in hand, most often one that went wrong.
    func tend() {
        let hand = hand(random.happens(15) ? nil : random.number(0...(users.count - 1)))
        let status = random.happens(20) ? random.pick(RunStatus.allCases).rawValue : nil
        let path = "/api/runs?limit=20" + (status.map { "&status=\($0)" } ?? "")
        ask(request("GET", path, key: hand.key), as: "list") { [unowned self] response in
            let listed = ((try? JSON.parse(response.body)) ?? .null)["items"]?.array ?? []
            guard simulation.isStorm, !listed.isEmpty else { return }
            let wrong = listed.filter { ["failed", "cancelled"].contains($0["status"]?.string ?? "") }
            let item = random.pick(wrong.isEmpty || random.happens(40) ? listed : wrong)
            guard let run = item["run_id"]?.string.flatMap({ RunID($0) }) else { return }
            take(run, item["status"]?.string ?? "", hand)
        }
    }

    private func take(_ run: RunID, _ status: String, _ hand: Hand) {
        let orders: [String]
        switch status {
        case "failed", "cancelled": orders = ["retry", "retry", "retry", "fork", "cancel"]
        case "succeeded": orders = ["fork", "fork", "fork", "retry", "pause"]
        case "paused": orders = ["resume", "resume", "cancel", "fork", "pause"]
        default: orders = ["pause", "pause", "fork", "fork", "cancel", "retry", "resume"]
        }
        switch random.pick(orders) {
        // A payment whose run is cancelled is never credited, and rightly.
        case "cancel": hand.user == nil ? pause(run, hand) : cancel(run, hand)
        case "pause": pause(run, hand)
        case "resume": resume(run, hand)
        case "retry": retry(run, hand)
        default: lookAndFork(run, hand)
        }
    }

    // MARK: - Retry and fork

    private func retry(_ run: RunID, _ hand: Hand) {
        make(ForkOrder(run: run, kind: "retry"), order("retry", run, hand), hand)
    }

    /// Looks at the run, and forks it from one of its steps.
    private func lookAndFork(_ run: RunID, _ hand: Hand) {
        ask(request("GET", "/api/runs/\(run)", key: hand.key), as: "look") { [unowned self] response in
            guard simulation.isStorm, let view = try? JSON.parse(response.body) else { return }
            let steps = (view["steps"]?.array ?? []).compactMap { $0["id"]?.string }.filter {
                !$0.contains("/")
            }
            guard !steps.isEmpty else { return }
            let step = random.happens(5) ? "nothing" : random.pick(steps)
            var body: Object = ["step": .string(step)]
            // What a payment was is not for the operator to say.
            if hand.user != nil { body["input"] = changed(view["trigger_body"] ?? .null) }
            if random.happens(40) { body["version"] = "current" }
            var request = order("fork", run, hand)
            request.body = JSON.bytes(.object(body))
            make(ForkOrder(run: run, kind: "fork", step: step), request, hand)
        }
    }

    /// Another input, in which perhaps the business is another, too; nil to leave it as it was.
    private func changed(_ input: Value) -> Value? {
        count += 1
        guard var object = input.object else { return nil }
        let order = object["order"]?.string ?? "calendar"
        switch random.number(0...2) {
        case 0: return nil
        case 1: object["fate"] = .string(random.pick(["go", "skip", "fail", "fail", "finish"]))
        default: object["order"] = .string("\(order)~\(count)")
        }
        return .object(object)
    }

    /// Asks for a run: most do it under a key and say it again until they are answered, some just once.
    private func make(_ order: ForkOrder, _ request: OutboundRequest, _ hand: Hand) {
        guard random.happens(85) else {
            // The network may double it, and nothing tells the service that it was meant once.
            simulation.oracle.note(order, runCountMax: 2)
            return ask(request, as: order.kind, repeats: Self.never) { [unowned self] in
                _ = made($0, hand)
            }
        }
        count += 1
        let key = "\(order.kind)-\(count)"
        var request = request
        request.headers.append(HTTPHeader("Idempotency-Key", key))
        simulation.oracle.note(order, runCountMax: 1)
        for _ in 0..<(random.happens(25) ? 2 : 1) {
            ask(request, as: order.kind, repeats: { $0 >= 500 || $0 == 429 || $0 == 402 }) { [unowned self] in
                guard let run = made($0, hand) else { return }
                if let first = runByOrder[key], first != run {
                    simulation.oracle.complain(.i3, "the order \(key) started \(first) and \(run)")
                }
                if runByOrder.updateValue(run, forKey: key) == nil, random.happens(20) {
                    misuse(key, order.run, hand)
                }
            }
        }
    }

    /// The run that an answer names as new, or as made before.
    private func made(_ response: InboundResponse, _ hand: Hand) -> RunID? {
        guard response.status == 202, let answer = try? JSON.parse(response.body), answer["skipped"] == nil,
            let run = answer["run_id"]?.string.flatMap({ RunID($0) })
        else { return nil }
        simulation.oracle.note(.run(run, hand.tenant))
        if let user = hand.user, answer["duplicate"]?.bool == false {
            mind(run, user)
            // It is undone then, and what it has only taken over is not.
            if random.happens(30) {
                timeline.plan(after: random.duration(.zero, .seconds(2))) { [unowned self] in
                    cancel(run, hand)
                }
            }
        }
        return run
    }

    /// The key of an order comes once more, for something else.
    private func misuse(_ key: String, _ run: RunID, _ hand: Hand) {
        var request = order("fork", run, hand)
        request.headers.append(HTTPHeader("Idempotency-Key", key))
        request.body = JSON.bytes(["step": "s1", "input": ["misused": .string(key)]])
        ask(request, as: "misused key") { [unowned self] response in
            let answer = (try? JSON.parse(response.body)) ?? .null
            if response.status == 202, answer["skipped"] == nil {
                simulation.oracle.complain(.i3, "the key \(key) was taken for two orders")
            }
        }
    }
}
