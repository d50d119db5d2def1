import MemoryStore
import OpenSSLCrypto
import Ports
import Runtime
import SQLiteStore
import StandIns
import Storage
import TestSupport
import Values

/// The whole service in a world of its own: virtual time, a store in memory, a scripted network, and faults by
/// the seed.
///
/// The same seed always gives the same story, byte for byte.
/// First a storm, in which users, providers and faults do what they like; then a quiet, in which everything
/// must come to its end.
final class Simulation: @unchecked Sendable {
    // Unchecked: used by one thread.
    static let start = Instant(milliseconds: 1_767_607_200_000)
    static let stormLength = Duration.seconds(600)
    private static let stormStepMax = 12_000
    private static let quietStepMax = 60_000

    let seed: UInt64
    let timeline = Timeline(at: Simulation.start)
    let story: Story
    let disk = MemoryStore.Disk()
    let oracle: Oracle
    let faults: FaultPlan
    private(set) var isStorm = false
    private(set) var process: ServiceProcess?
    /// Processes that were taken over and have not noticed yet.
    private(set) var zombies: [ServiceProcess] = []
    private(set) var processCount = 0
    private(set) var crashCount = 0
    private(set) var tally = Tally()
    /// Asks a database everything that the newest process asks its store; nil without one.
    private(set) var twin: TwinStore?
    private let defect: Defect?
    private let twinPath: String?
    private var random: SeededRandom
    private var clockOffset = Duration.zero
    private var isDiskFull = false
    private var newestStore: MemoryStore
    private let cryptography = OpenSSLCryptography()
    private(set) lazy var network = Network(
        timeline, random.fork(2), faultPercent: 0,
        observe: { [unowned self] in count("fault network \($0)") },
        deliver: { [unowned self] in deliver($0, respond: $1) })
    private lazy var endingRandom = SeededRandom(seed: seed &+ 77)
    private(set) lazy var world = World(self, random.fork(3))
    private(set) lazy var crowd = Crowd(self, random.fork(4))

    /// - Parameters:
    ///   - seed: All chance comes from it.
    ///   - defect: What is broken on purpose.
    ///   - twinPath: Of a database that does not exist yet, and is to answer all that the store in memory does.
    init(seed: UInt64, defect: Defect? = nil, twinPath: String? = nil) {
        self.seed = seed
        self.defect = defect
        self.twinPath = twinPath
        var random = SeededRandom(seed: seed)
        faults = FaultPlan(&random)
        self.random = random
        story = Story(timeline)
        let cryptography = self.cryptography
        newestStore = MemoryStore(disk: disk, completesOnFlush: true) { cryptography.sha256($0) }
        var disk: any Store = newestStore
        if let defect, defect.isOfDisk {
            disk = TamperedDisk(newestStore, defect, sha256: cryptography.sha256)
        }
        oracle = Oracle(
            timeline, disk: disk,
            Oracle.OracleOptions(
                checksCharges: !faults.setsClockBack && faults.workStep < .milliseconds(1),
                checksAnswers: !faults.setsClockBack,
                runRetention: .seconds(2 * 86_400))
        ) { cryptography.sha256($0) }
    }

    /// Tells the story to its end, or until the first broken promise.
    @discardableResult
    func run() -> Simulation {
        story.tell("seed \(seed) \(faults)")
        openProcess(isFirst: true)
        crowd.settle()
        isStorm = true
        network.faultPercent = faults.networkPercent
        crowd.plan()
        planFaults()
        play(until: Self.start + Self.stormLength, stepMax: Self.stormStepMax)
        if oracle.violations.isEmpty { quieten() }
        oracle.count(into: &tally)
        story.tell("end: \(oracle.violations.map(\.description))")
        timeline.forgetAll()
        return self
    }

    var violations: [Violation] { oracle.violations }

    func count(_ what: String) { tally.count(what) }

    /// Lets things happen until an instant; stops at the first broken promise.
    func play(until end: Instant, stepMax: Int, isDone: () -> Bool = { false }) {
        for step in 0..<stepMax {
            guard oracle.violations.isEmpty, timeline.now < end, timeline.step() else { return }
            if step % 16 == 0, isDone() { return }
        }
    }

    // MARK: - Quiet

    /// Nothing goes wrong any more, everyone has balance and every signal comes: all runs must end (I11).
    private func quieten() {
        isStorm = false
        isDiskFull = false
        network.faultPercent = 0
        for zombie in zombies { zombie.life.end("it was taken over") }
        zombies = []
        if process == nil { openProcess() }
        process?.life.light(fuse: .max)
        story.tell("quiet")
        crowd.beginQuiet()
        for _ in 0..<160 where oracle.violations.isEmpty {
            play(
                until: timeline.now + .seconds(2 * 3600), stepMax: Self.quietStepMax, isDone: { self.isOver })
            if isOver { break }
            crowd.signalAll()
        }
        guard oracle.violations.isEmpty else { return }
        for record in openRuns {
            oracle.complain(.i11, "\(record.run) of \(record.workflow) is \(record.status): \(why(record))")
        }
        for (run, reason) in process?.runtime.load.stuck ?? [:] {
            oracle.complain(.i11, "\(run) is stuck: \(reason)")
        }
        oracle.lookAtAll()
        oracle.judgeEnds()
        crowd.judge()
        world.judge()
    }

    /// Reads what is on the disk.
    var reader: MemoryStore { newestStore }

    /// Runs that are not over, whatever they wait for; oldest first.
    var openRuns: [RunRecord] {
        oracle.runs.values.filter { $0.finishedAt == nil }.sorted { $0.run < $1.run }
            .compactMap { (try? newestStore.run($0.run, of: $0.tenant)) ?? nil }
    }

    private var isOver: Bool {
        crowd.isIdle && world.isIdle && openRuns.isEmpty
            && ((try? newestStore.pendingDepletions()) ?? []).isEmpty
            && ((try? newestStore.pendingMail(after: nil, limit: 1)) ?? []).isEmpty
    }

    private func why(_ record: RunRecord) -> String {
        guard let view = try? process?.runtime.view(of: record) else { return "no view" }
        let entries = (try? newestStore.entries(of: record.run)) ?? []
        return "\(JSON.text(view["steps"] ?? .null)) \(entries.map(\.key))"
    }

    // MARK: - Processes

    /// Opens a process on the disk; the one before it goes on until it notices.
    func openProcess(isFirst: Bool = false) {
        processCount += 1
        let number = processCount
        let life = Life { [unowned self] in died(number, $0) }
        if !isFirst {
            let cryptography = self.cryptography
            newestStore = MemoryStore(disk: disk, completesOnFlush: true) { cryptography.sha256($0) }
        }
        story.tell("process \(number) opens under epoch \(newestStore.epoch), clock \(clockOffset)")
        do throws(StoreError) {
            let made = try ServiceProcess(number: number, life: life, ports(for: number, life))
            process = made
            if isStorm, random.happens(15) { life.light(fuse: random.number(0...12)) }
            try made.begin()
            if life.isOver { count("crash while recovering") }
        } catch {
            count("crash while recovering")
            if !life.isOver { life.end("it could not begin: \(error)") }
        }
    }

    private func ports(for number: Int, _ life: Life) -> ServiceProcess.Ports {
        let clock = SimulatedClock(timeline, life: life, offset: clockOffset) { [unowned self] in lateness() }
        var options = RuntimeOptions()
        options.runRetention = .seconds(2 * 86_400)
        options.descendantCountMax = 100
        options.housekeepingInterval = .seconds(6 * 3600)
        let transport = SimulatedTransport(timeline, network, clock: clock, life: life) {
            [unowned self] request in
            story.tell("\(number) sends \(request.headers["idempotency-key"] ?? "?") to \(request.url)")
            oracle.noteSend(request, isNewest: number == processCount)
        }
        return ServiceProcess.Ports(
            timeline: timeline, clock: clock, transport: transport, store: store(for: number, life),
            gauge: CountingGauge(timeline, step: faults.workStep),
            cryptography: SeededCryptography(random.fork(UInt64(100 + number))), options: options,
            log: { [unowned self] line in
                story.tell("\(number) logs \(String(decoding: line, as: UTF8.self))")
                oracle.lookForSecrets(line, in: "the log")
                oracle.noteDroppedEnd(line)
            })
    }

    private func store(for number: Int, _ life: Life) -> MortalStore {
        let own = newestStore
        var inner: any Store = own
        var flush: @Sendable () -> Void = { own.flush() }
        if let defect {
            let broken = BrokenStore(own, defect) { [unowned self] in
                newestStore
            } leak: { [unowned self] defect, tenant in
                let owner = oracle.parties.first { ($0.tenant == tenant) == (defect == .secretsKept) }
                return Array(
                    (defect == .secretsKept ? owner?.secrets.first : owner.map { "\($0.tenant)" })?.utf8
                        ?? "".utf8)
            }
            inner = broken
            flush = { broken.flush() }
        }
        if let twin = openTwin(of: own) { inner = twin }
        return MortalStore(
            inner, flush: flush,
            MortalStore.Surroundings(
                timeline: timeline, life: life,
                isFull: { [unowned self] in
                    if isDiskFull { count("fault full disk") }
                    return isDiskFull
                },
                nextDelay: { [unowned self] mayBeInPlace in
                    if mayBeInPlace, random.happens(50) { return nil }
                    return random.duration(.zero, .milliseconds(4))
                },
                losesAnswer: { [unowned self] in
                    guard isStorm, random.happens(faults.lostCommitAnswerPercent) else { return false }
                    count("fault lost answer of a commit")
                    return true
                },
                observe: { [unowned self] commit, result in
                    story.tell(
                        "\(number) commits \(commit.run) \(Story.text(of: commit.entries)): \(Story.text(of: result))"
                    )
                    oracle.note(commit, result, isNewest: number == processCount)
                    dieWhileEnding(after: commit, number)
                },
                complain: { [unowned self] in oracle.complain(.port, $0) }))
    }

    /// The database knows one process at a time: one that was taken over goes on with the store in memory alone.
    private func openTwin(of own: MemoryStore) -> TwinStore? {
        guard let twinPath else { return nil }
        twin?.leave()
        let cryptography = self.cryptography
        let timeline = self.timeline
        do throws(StoreError) {
            let database = try SQLiteStore.open(
                path: twinPath, sha256: { cryptography.sha256($0) }, clock: { timeline.now })
            twin = TwinStore(own, database, comparisonCount: twin?.comparisonCount ?? 0) { [unowned self] in
                oracle.complain(.port, $0)
            }
        } catch { oracle.complain(.port, "the database does not open: \(error)") }
        return twin
    }

    private func lateness() -> Duration {
        guard isStorm, random.happens(faults.lateAlarmPercent) else { return .zero }
        count("fault late alarm")
        return random.happens(80)
            ? random.duration(.zero, .milliseconds(80)) : random.duration(.zero, .seconds(8))
    }

    private func died(_ number: Int, _ cause: String) {
        story.tell("process \(number) dies: \(cause)")
        zombies.removeAll { $0.number == number }
        guard number == processCount else { return }
        process = nil
        crashCount += 1
        count("crash " + (cause.contains("/") ? "before an answer" : cause))
        oracle.lookAtAll()
        let downtime =
            random.happens(80)
            ? random.duration(.milliseconds(10), .seconds(5)) : random.duration(.seconds(5), .seconds(200))
        if faults.setsClockBack {
            let before = clockOffset
            clockOffset = random.duration(.seconds(-60), .seconds(60))
            if clockOffset < before { count("fault clock set back") }
        }
        timeline.plan(after: downtime) { [unowned self] in if process == nil { openProcess() } }
    }

    // MARK: - Faults

    private func planFaults() {
        for _ in 0..<faults.crashCount {
            plan { [unowned self] in
                guard let process else { return }
                if random.happens(25) {
                    process.life.end("killed")
                } else {
                    process.life.light(fuse: random.number(0...30))
                }
            }
        }
        for _ in 0..<faults.takeoverCount { plan { [unowned self] in takeOver() } }
        for _ in 0..<faults.fullDiskCount {
            plan { [unowned self] in
                story.tell("the disk is full")
                isDiskFull = true
                timeline.plan(after: random.duration(.milliseconds(100), .seconds(30))) { [unowned self] in
                    story.tell("the disk has room")
                    isDiskFull = false
                }
            }
        }
        for _ in 0..<faults.stallCount {
            plan { [unowned self] in
                story.tell("nothing runs for a while")
                count("fault stall")
                timeline.stall(for: random.duration(.seconds(1), .seconds(70)))
            }
        }
    }

    private func plan(_ fault: @escaping @Sendable () -> Void) {
        let at = Self.start + random.duration(.zero, Self.stormLength)
        timeline.plan(at: at) { [unowned self] in if isStorm { fault() } }
    }

    /// Something ends while requests are under way: a good moment for the process to end, too.
    private func dieWhileEnding(after commit: RunCommit, _ number: Int) {
        guard isStorm, number == processCount,
            commit.entries.contains(where: { $0.kind == "steps.in_flight" }),
            endingRandom.happens(faults.crashWhileEndingPercent)
        else { return }
        count("fault crash while ending")
        process?.life.light(fuse: endingRandom.number(0...8))
    }

    /// A second process opens the disk while the first one still runs.
    private func takeOver() {
        guard let old = process else { return }
        story.tell("process \(old.number) is taken over")
        count("fault takeover")
        zombies.append(old)
        timeline.plan(after: random.duration(.milliseconds(100), .seconds(60))) {
            old.life.end("it was taken over")
        }
        openProcess()
    }

    // MARK: - Addresses

    /// Gives a request to whoever lives at its address.
    private func deliver(
        _ request: OutboundRequest, respond: @escaping @Sendable (InboundResponse) -> Void
    ) -> Bool {
        let host = request.host
        guard host == "millrace.example" || host == "127.0.0.1:7071" else {
            return world.deliver(request, respond: respond)
        }
        // While two processes run, a request may still reach the older one.
        let isZombies = !zombies.isEmpty && random.happens(30)
        guard let server = isZombies ? zombies.last : process, !server.life.isOver else { return false }
        server.handle(request, isInternal: host != "millrace.example") { [unowned self] response in
            var response = response
            if server.number != processCount { response.headers.append(Self.olderProcessMark) }
            respond(response)
        }
        return true
    }

    private static let olderProcessMark = HTTPHeader("x-answered-by", "an older process")

    /// Whether a process that was taken over gave the answer: an order that changes nothing, as far as it knows,
    /// it answers without the store, and nothing of it is on the disk.
    static func isFromOlderProcess(_ response: InboundResponse) -> Bool {
        response.headers.contains(olderProcessMark)
    }
}

/// What happened, line by line: the same bytes for the same seed.
final class Story: @unchecked Sendable {
    // Unchecked: used by one thread.
    private let timeline: Timeline
    private(set) var lines: [String] = []

    init(_ timeline: Timeline) { self.timeline = timeline }

    func tell(_ what: String) { lines.append("\(timeline.now.microseconds) \(what)") }

    var text: String { lines.joined(separator: "\n") }

    static func text(of entries: [StoredEntry]) -> String {
        entries.map { entry in
            guard entry.kind == "step.failed", let facts = try? JSON.parse(entry.facts) else {
                return entry.key
            }
            return "\(entry.key) (\(facts["error"]?.text ?? ""): \(facts["message"]?.text ?? ""))"
        }.joined(separator: ", ")
    }

    static func text(of result: Result<CommitReceipt, StoreError>) -> String {
        switch result {
        case .success(.stored(let balance, let depletion)):
            "stored" + (balance.map { ", balance \($0)" } ?? "") + (depletion == nil ? "" : ", depleted")
        case .success(.duplicate(let first, let isSame)):
            "duplicate of \(first)\(isSame ? "" : " with another content")"
        case .failure(let error): error.label
        }
    }
}
