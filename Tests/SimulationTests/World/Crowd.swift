import Foundation
import OpenSSLCrypto
import Ports
import Runtime
import Server
import Storage
import TestSupport
import Values

/// The people and programs that use the service: they trigger, signal, cancel, buy, deploy, ask, and say
/// everything again until they are answered.
final class Crowd: @unchecked Sendable {
    // Unchecked: used by one thread.
    struct User: Sendable {
        var tenant: TenantID
        var name: String
        var key: String
        var hookSecret: String
        var workflows: [String]
    }

    /// A trigger that somebody pulls, perhaps several times.
    struct Order: Sendable {
        var user: Int
        var workflow: String
        var isWebhook: Bool
        var number: Int
        var body: [UInt8]
    }

    unowned let simulation: Simulation
    var random: SeededRandom
    private var flows: FlowGenerator
    var users: [User] = []
    var ownerKey = ""
    private var internalKey = ""
    private var scheduled: (user: Int, workflow: String)?
    private var orders: [Order] = []
    /// The run that each trigger was answered with.
    private var runByTrigger: [String: RunID] = [:]
    var knownRuns: [(run: RunID, user: Int)] = []
    /// The run that each order with a key was answered with.
    var runByOrder: [String: RunID] = [:]
    private var waitingCount = 0
    var count = 0
    private let cryptography = OpenSSLCryptography()

    init(_ simulation: Simulation, _ random: SeededRandom) {
        self.simulation = simulation
        self.random = random
        flows = FlowGenerator(random.fork(9))
    }

    /// Whether nobody waits for an answer.
    var isIdle: Bool { waitingCount == 0 }

    var timeline: Timeline { simulation.timeline }

    // MARK: - Before the storm

    /// Tenants, keys, secrets and workflows; nothing goes wrong yet.
    func settle() {
        guard let process = simulation.process else { return }
        do {
            try settle(process)
        } catch {
            simulation.oracle.complain(.port, "setting up failed: \(error)")
        }
    }

    private func settle(_ process: ServiceProcess) throws {
        let now = process.clock.now()
        try process.store.addTenant(Tenant(tenant: .operatorTenant, name: "operator", createdAt: now))
        ownerKey = try process.keys.make(for: .operatorTenant, scope: .full, at: now).secret
        internalKey = try process.keys.make(for: .operatorTenant, scope: .internal, at: now).secret
        let operatorSecrets = [
            ("STRIPE_SECRET_KEY", "SECRET-sk-operator"), ("STRIPE_WEBHOOK_SECRET", World.webhookSecret),
            ("MOLLIE_API_KEY", "SECRET-mollie-operator"), ("MOLLIE_WEBHOOK_SECRET", "SECRET-mollie-hook"),
            ("RESEND_API_KEY", "SECRET-resend"), ("MILLRACE_INTERNAL_KEY", internalKey),
        ]
        for (name, value) in operatorSecrets {
            try process.vault.set(name, value, hosts: [], of: .operatorTenant, at: now)
        }
        simulation.oracle.parties = [
            Oracle.Party(tenant: .operatorTenant, secrets: operatorSecrets.map(\.1) + [ownerKey])
        ]
        for file in try Self.billingFiles(simulation.world.provider.rawValue) { try deploy(file, ownerKey) }
        for index in 0..<random.number(2...3) { try addUser(index, process) }
        // One flow in a story starts by the calendar.
        let user = random.number(0...(users.count - 1))
        scheduled = (user, users[user].workflows[0])
    }

    private func addUser(_ index: Int, _ process: ServiceProcess) throws {
        let (now, tenant) = (process.clock.now(), TenantID(number: 1 << 60 | Int64(index + 1) << 40))
        try process.store.addTenant(Tenant(tenant: tenant, name: "Tenant \(index)", createdAt: now))
        let key = try process.keys.make(for: tenant, scope: .full, at: now).secret
        let (pay, hook) = ("SECRET-pay-\(tenant)", "SECRET-hook-\(index)-\(tenant.number)")
        try process.vault.set("PAY_KEY", pay, hosts: [], of: tenant, at: now)
        try process.vault.set("HOOK_SECRET", hook, hosts: [], of: tenant, at: now)
        simulation.oracle.parties.append(Oracle.Party(tenant: tenant, secrets: [pay, hook, key]))
        var user = User(tenant: tenant, name: "Tenant \(index)", key: key, hookSecret: hook, workflows: [])
        for number in 0..<random.number(1...3) {
            let name = "flow-\(index)-\(number)"
            user.workflows.append(name)
            let flow = flows.flow(
                name, version: 1, isScheduled: index == 0 && number == 0, callable: user.workflows.dropLast())
            try deploy(JSON.bytes(flow), key)
        }
        users.append(user)
        let gift = Int64(random.pick([400, 3_000, 20_000, 600_000]))
        _ = try process.store.credit(
            Credit(tenant: tenant, milliseconds: gift, reference: "gift:\(index)", fingerprint: [1], at: now))
    }

    private func deploy(_ source: [UInt8], _ key: String) throws {
        let name = (try? JSON.parse(source))?["name"]?.string ?? Self.name(inYAML: source)
        let request = request("PUT", "/api/workflows/\(name)", key: key, body: source)
        let answer = Answered()
        simulation.process?.handle(request, isInternal: false) { answer.response = $0 }
        guard let status = answer.response?.status, status < 300 else {
            let text = String(decoding: answer.response?.body ?? [], as: UTF8.self)
            throw StoreError.missing(
                what: "deployed \(name): \(text) \(String(decoding: source, as: UTF8.self))")
        }
    }

    private final class Answered: @unchecked Sendable {
        // Unchecked: used by one thread.
        var response: InboundResponse?
    }

    private static func name(inYAML source: [UInt8]) -> String {
        let lines = String(decoding: source, as: UTF8.self).split(separator: "\n")
        return lines.first { $0.hasPrefix("name: ") }.map { String($0.dropFirst(6)) } ?? "?"
    }

    /// The repository's own billing workflows, as they are.
    private static func billingFiles(_ provider: String) throws -> [[UInt8]] {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "workflows/operator/\(provider)")
        return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
            .filter { $0.hasSuffix(".yaml") && !$0.hasSuffix(".test.yaml") }
            .map { [UInt8](try Data(contentsOf: folder.appending(path: $0))) }
    }

    // MARK: - The storm

    /// Lays down what everyone is going to do.
    func plan() {
        for _ in 0..<random.number(8...14) { plan { [unowned self] in pullTrigger() } }
        for _ in 0..<random.number(0...3) { plan { [unowned self] in buy() } }
        for _ in 0..<random.number(0...2) { plan { [unowned self] in redeploy() } }
        for _ in 0..<random.number(0...1) { plan { [unowned self] in changeSecret() } }
        for _ in 0..<random.number(0...2) {
            plan { [unowned self] in giveCredit(Int64(random.number(1...30_000))) }
        }
        for _ in 0..<3 { plan { [unowned self] in pry() } }
        for _ in 0..<random.number(4...9) { plan { [unowned self] in tend() } }
    }

    private func plan(_ action: @escaping @Sendable () -> Void) {
        let at = Simulation.start + random.duration(.zero, Simulation.stormLength)
        timeline.plan(at: at) { [unowned self] in if simulation.isStorm { action() } }
    }

    private func pullTrigger() {
        if !orders.isEmpty, random.happens(20) { return pull(random.pick(orders)) }
        let user = random.number(0...(users.count - 1))
        let number = orders.count + 1
        let fate = random.pick(["go", "go", "go", "skip", "fail", "finish"])
        let peer: Value = knownRuns.last.map { .string("\($0.run)") } ?? .null
        let body: Value = ["order": .string("order-\(number)"), "fate": .string(fate), "peer": peer]
        let order = Order(
            user: user, workflow: random.pick(users[user].workflows), isWebhook: random.happens(40),
            number: number, body: JSON.bytes(body))
        orders.append(order)
        pull(order)
        // The same again at once, as impatient senders do.
        if random.happens(25) { pull(order) }
    }

    private func pull(_ order: Order) {
        let user = users[order.user]
        var request = request(
            "POST", "/api/workflows/\(order.workflow)/trigger", key: user.key, body: order.body,
            idempotencyKey: "order-\(order.number)")
        if order.isWebhook {
            let mac = cryptography.hmac("sha256", key: Array(user.hookSecret.utf8), data: order.body) ?? []
            request = self.request(
                "POST", "/hooks/\(user.tenant)/\(order.workflow)", key: nil, body: order.body)
            request.headers.append(HTTPHeader("x-shop-signature", Hex.encode(mac)))
        }
        let name = order.isWebhook ? "webhook" : "trigger"
        ask(request, as: name, repeats: { $0 >= 500 || $0 == 429 || $0 == 402 || $0 == 401 }) {
            [unowned self] response in
            guard [200, 201, 202].contains(response.status),
                let answer = try? JSON.parse(response.body), answer["skipped"] == nil,
                let run = answer["run_id"]?.string.flatMap({ RunID($0) })
            else { return }
            started(run, order)
        }
    }

    private func started(_ run: RunID, _ order: Order) {
        let user = users[order.user]
        simulation.oracle.note(.run(run, user.tenant))
        let trigger = "\(order.user) \(order.workflow) \(order.isWebhook) \(order.number)"
        if let first = runByTrigger[trigger], first != run {
            simulation.oracle.complain(.i3, "the trigger \(trigger) started \(first) and \(run)")
        }
        runByTrigger[trigger] = run
        mind(run, order.user)
    }

    /// What people do about a run that they know of.
    func mind(_ run: RunID, _ user: Int) {
        knownRuns.append((run, user))
        if random.happens(70) { later { [unowned self] in signal(run, user) } }
        if random.happens(30) { later { [unowned self] in signal(run, user) } }
        if random.happens(10) { later { [unowned self] in cancel(run, hand(user)) } }
        if random.happens(30) { later { [unowned self] in look(run, user) } }
        if random.happens(15) { later { [unowned self] in pause(run, hand(user)) } }
    }

    func later(_ action: @escaping @Sendable () -> Void) {
        timeline.plan(after: random.duration(.zero, .seconds(60)), action)
    }

    func signal(_ run: RunID, _ user: Int, name: String? = nil) {
        count += 1
        let (key, name) = ("signal-\(count)", name ?? random.pick(FlowGenerator.signals))
        let tenant = users[user].tenant
        let request = request(
            "POST", "/api/runs/\(run)/signals/\(name)", key: users[user].key, body: Array("{\"n\":1}".utf8),
            idempotencyKey: key)
        for _ in 0..<(random.happens(20) ? 2 : 1) {
            ask(request, as: "signal") { [unowned self] response in
                if response.status == 202 { simulation.oracle.note(.signal(run, tenant, key: key)) }
            }
        }
    }

    private func look(_ run: RunID, _ user: Int) {
        ask(request("GET", "/api/runs/\(run)", key: users[user].key), as: "look", repeats: Self.never) { _ in
        }
        ask(request("GET", "/api/runs/\(run)/events", key: users[user].key), as: "look", repeats: Self.never)
        { _ in }
    }

    /// A tenant reaches for what belongs to another (I10).
    private func pry() {
        guard let found = knownRuns.last else { return }
        let other = users[(found.user + 1) % users.count]
        let run = "/api/runs/\(found.run)"
        let attempts: [(String, String)] = [
            ("GET", run), ("POST", run + "/signals/alpha"), ("GET", run + "/events"),
            ("POST", run + "/cancel"),
            ("POST", run + "/pause"), ("POST", run + "/resume"), ("POST", run + "/retry"),
            ("POST", run + "/fork"),
        ]
        for (method, path) in attempts.shuffled(using: &random).prefix(4) {
            ask(request(method, path, key: other.key), as: "pry", repeats: Self.never) {
                [unowned self] response in
                if response.status < 500, ![404, 429].contains(response.status) {
                    simulation.oracle.complain(
                        .i10, "\(other.name) got \(response.status) for \(method) \(path)")
                }
            }
        }
    }

    private func buy() {
        let user = random.pick(users)
        let body = Array("{\"minutes\":\(random.number(1...3))}".utf8)
        var request = request("POST", "/api/billing/purchases", key: user.key, body: body)
        request.timeout = .seconds(60)
        // Not repeated: pressing Buy again would be another purchase.
        ask(request, as: "buy", repeats: Self.never) { [unowned self] response in
            guard let answer = try? JSON.parse(response.body), let url = answer["checkout_url"]?.string,
                let purchase = answer["purchase_id"]?.string.flatMap({ PurchaseID($0) })
            else { return }
            simulation.world.visit(checkout: url, for: purchase)
        }
    }

    private func redeploy() {
        let user = random.number(0...(users.count - 1))
        let name = random.pick(users[user].workflows)
        count += 1
        let isScheduled = user == 0 && name == users[0].workflows[0]
        // Only those before it, so that no workflow calls itself in the end.
        let callable = Array(users[user].workflows.prefix { $0 != name })
        let source = JSON.bytes(
            flows.flow(name, version: 1 + count, isScheduled: isScheduled, callable: callable))
        let request = request("PUT", "/api/workflows/\(name)", key: users[user].key, body: source)
        ask(request, as: "deploy") { [unowned self] in
            if $0.status >= 400 { simulation.oracle.complain(.port, "deploying said \($0.status)") }
        }
    }

    private func changeSecret() {
        let user = random.number(0...(users.count - 1))
        let value = "SECRET-new-\(count)-\(users[user].tenant)"
        simulation.oracle.parties[user + 1].secrets.append(value)
        let body = Array("{\"value\":\"\(value)\"}".utf8)
        ask(request("PUT", "/api/secrets/PAY_KEY", key: users[user].key, body: body), as: "secret") { _ in }
    }

    private func giveCredit(_ milliseconds: Int64, to user: Int? = nil) {
        count += 1
        let tenant = users[user ?? random.number(0...(users.count - 1))].tenant
        let reference = "present:\(count)"
        let body: Value = [
            "tenant_id": .string("\(tenant)"), "ms": .int(milliseconds), "reference": .string(reference),
        ]
        var request = request(
            "POST", "/api/internal/billing/credit", key: internalKey, body: JSON.bytes(body),
            idempotencyKey: reference)
        request.url = "http://127.0.0.1:7071/api/internal/billing/credit"
        // Told twice, as a provider does.
        for _ in 0..<2 {
            ask(request, as: "credit") { [unowned self] response in
                if response.status < 300 { simulation.oracle.note(.credit(tenant, reference: reference)) }
            }
        }
    }

    // MARK: - The quiet

    /// Everyone gets balance, and nothing starts by the calendar any more.
    func beginQuiet() {
        for user in users.indices { giveCredit(10_000_000_000, to: user) }
        endCalendar()
    }

    /// Again and again: a deployment that was under way may bring the workflow back.
    private func endCalendar() {
        let path = "/api/workflows/\(users[0].workflows[0])"
        ask(request("DELETE", path, key: users[0].key), as: "delete") { _ in }
    }

    /// Every open run gets every signal.
    func signalAll() {
        endCalendar()
        for record in simulation.openRuns {
            let user = users.firstIndex { $0.tenant == record.tenant }
            if record.status == .paused { resume(record.run, hand(user)) }
            guard let user else { continue }
            for name in FlowGenerator.signals { signal(record.run, user, name: name) }
        }
    }

    /// What everyone was told is what is there.
    func judge() {
        guard isIdle else { return simulation.oracle.complain(.i11, "somebody still waits for an answer") }
        let alerts = simulation.oracle.runs.values.count {
            $0.workflow == "balance-depleted-alert" && $0.origin == nil
        }
        if alerts != simulation.oracle.depletionCount {
            simulation.oracle.complain(
                .i6, "\(simulation.oracle.depletionCount) balances ran out and \(alerts) alerts were raised")
        }
    }

    // MARK: - Asking

    /// Of what is said once, whatever becomes of it.
    static let never: @Sendable (Int) -> Bool = { _ in false }

    func request(
        _ method: String, _ path: String, key: String?, body: [UInt8] = [], idempotencyKey: String? = nil
    ) -> OutboundRequest {
        var headers = [HTTPHeader("Content-Type", "application/json")]
        if let key { headers.append(HTTPHeader("Authorization", "Bearer \(key)")) }
        if let idempotencyKey { headers.append(HTTPHeader("Idempotency-Key", idempotencyKey)) }
        return OutboundRequest(
            method: method, url: "https://millrace.example" + path, headers: headers, body: body,
            timeout: .seconds(40))
    }

    /// Sends a request and says it again until it is answered for good.
    func ask(
        _ request: OutboundRequest, as name: String,
        repeats: @escaping @Sendable (Int) -> Bool = { $0 >= 500 || $0 == 429 },
        then: @escaping @Sendable (InboundResponse) -> Void
    ) {
        waitingCount += 1
        simulation.network.carry(request) { [unowned self] result in
            waitingCount -= 1
            var (status, isRepeated) = (0, true)
            if case .success(let response) = result {
                status = response.status
                isRepeated = repeats(status)
                simulation.oracle.lookForSecrets(response.body, in: "an answer to \(request.url)")
                if !isRepeated {
                    simulation.story.tell("\(request.method) \(request.url) is answered \(status)")
                    simulation.count(Self.count(of: name, response))
                    then(InboundResponse(status: status, headers: response.headers, body: response.body))
                }
            } else {
                isRepeated = repeats(503)
            }
            guard isRepeated else { return }
            simulation.story.tell("\(request.method) \(request.url) is said again after \(status)")
            simulation.count("\(name) said again")
            waitingCount += 1
            let delay = random.duration(.milliseconds(500), status == 402 ? .seconds(90) : .seconds(8))
            timeline.plan(after: delay) { [unowned self] in
                waitingCount -= 1
                ask(request, as: name, repeats: repeats, then: then)
            }
        }
    }

    /// `retry 202`, `fork 202 duplicate`, `pause 409 run_over`.
    private static func count(of name: String, _ response: OutboundResponse) -> String {
        let body = (try? JSON.parse(response.body)) ?? .null
        var words = [name, "\(response.status)"]
        if response.status >= 400, let code = body["error"]?["code"]?.string { words.append(code) }
        for fact in ["duplicate", "skipped"] where body[fact]?.bool == true { words.append(fact) }
        return words.joined(separator: " ")
    }
}
