import Billing
import Engine
import Ports
import Storage
import TestSupport
import Testing
import Values
import Workflow

/// A random graph of requests, computations, sleeps, waits, signals, groups and strategies, as text.
private struct RandomWorkflow {
    private static let depthMax = 2

    private var random: SeededRandom
    private var stepCount = 0
    private(set) var lines: [String] = []
    /// Signals that it waits for, each once.
    private(set) var signals: [String] = []
    private(set) var hasRace = false
    private(set) var hasFailingOutput = false
    private var undoable: Set<String> = []
    private var manifold: Set<String> = []

    var text: String { lines.joined(separator: "\n") }
    var hasFinishStep: Bool { lines.contains { $0.contains(" finish: ") } }

    init(seed: UInt64) {
        random = SeededRandom(seed: seed)
        lines.append("steps:")
        let ids = addSteps(count: Int.random(in: 1...7, using: &random), indent: "  ", loops: [], depth: 0)
        let last = "steps.\(ids.last ?? "").outcome"
        hasFailingOutput = random.happens(15)
        lines.append("output: {last: << \(hasFailingOutput ? "error(\(last))" : last) >>}")
    }

    /// Whether the step of that path, or the item, has a request that undoes it.
    func canUndo(_ path: String) -> Bool {
        let parts = path.split(separator: "/")
        guard let id = parts.last(where: { Int($0) == nil }).map(String.init) else { return false }
        // Of a step with a strategy the items are undone, each by itself.
        return undoable.contains(id) && (!manifold.contains(id) || parts.last.flatMap { Int($0) } != nil)
    }

    /// Returns their ids; `loops` are the names of the items around.
    private mutating func addSteps(count: Int, indent: String, loops: [String], depth: Int) -> [String] {
        var ids: [String] = []
        for _ in 0..<count {
            let id = "s\(stepCount)"
            stepCount += 1
            lines.append("\(indent)\(id):")
            addStep(id, before: ids, indent: indent + "  ", loops: loops, depth: depth)
            ids.append(id)
        }
        return ids
    }

    private mutating func addStep(
        _ id: String, before: [String], indent: String, loops: [String], depth: Int
    ) {
        var after: [String] = []
        for earlier in before where random.happens(40) { after.append(earlier) }
        if !after.isEmpty { lines.append("\(indent)after: [\(after.joined(separator: ", "))]") }
        if random.happens(20) {
            lines.append("\(indent)when: trigger.body.flag\(Int.random(in: 0...1, using: &random))")
        }
        if random.happens(50) { lines.append("\(indent)on_error: continue") }
        var loops = loops
        var seen = after.first.map { "steps.\($0).response.body.n" } ?? "trigger.body.n"
        let isMany = random.happens(20)
        if isMany {
            manifold.insert(id)
            let item = "i\(loops.count)"
            lines.append("\(indent)strategy: {\(strategy()), as: \(item)}")
            loops.append(item)
            if random.happens(50) { seen = "last.outcome" }
        }
        if depth < Self.depthMax, random.happens(20) {
            lines.append("\(indent)steps:")
            let count = Int.random(in: 1...3, using: &random)
            let ids = addSteps(count: count, indent: indent + "  ", loops: loops, depth: depth + 1)
            if random.happens(60) { lines.append("\(indent)output: {x: << steps.\(ids[0]).outcome >>}") }
        } else {
            addAction(id, seen, indent: indent, loops: loops, isMany: isMany)
        }
    }

    private mutating func strategy() -> String {
        let kind = ["fan_out", "scatter", "race", "batch"].randomElement(using: &random) ?? "fan_out"
        if kind == "race" { hasRace = true }
        var text = "type: \(kind), over: \(Int.random(in: 0...4, using: &random))"
        if kind == "batch" { text += ", size: 2" }
        if kind != "race", random.happens(30) {
            text += ", until: index >= 2"
        } else {
            text += ", concurrency: \(Int.random(in: 1...3, using: &random))"
        }
        return text
    }

    private mutating func addAction(
        _ id: String, _ seen: String, indent: String, loops: [String], isMany: Bool
    ) {
        if random.happens(25) {
            lines.append("\(indent)lua: return {n = \(seen)}")
        } else if random.happens(5), !isMany {
            lines.append("\(indent)finish: {at: \(id)}")
        } else if random.happens(40) {
            lines.append(indent + restingStep(seen, isMany: isMany, isLooped: !loops.isEmpty))
        } else {
            let place = ([id] + loops.map { "<< \($0) >>" }).joined(separator: "/")
            lines.append(
                "\(indent)request: {method: POST, url: 'https://a.example/\(place)', body: {n: << \(seen) >>}}"
            )
            lines.append("\(indent)retry: {max: \(Int.random(in: 0...3, using: &random)), delay: 1s}")
            if random.happens(20) {
                undoable.insert(id)
                let body = "{was: << steps.\(id).response.body.n >>}"
                lines.append(
                    "\(indent)compensate: {request: {method: POST, url: 'https://u.example/\(place)', body: \(body)}}"
                )
            }
        }
    }

    /// A step that sends no request.
    private mutating func restingStep(_ seen: String, isMany: Bool, isLooped: Bool) -> String {
        let signal = "signal_\(stepCount)"
        switch Int.random(in: 0..<5, using: &random) {
        case 0: return "sleep: \(Int.random(in: 1...5, using: &random))s"
        case 1 where !isLooped:
            signals.append(signal)
            return "wait: \(signal)"
        case 2:
            if !isLooped { signals.append(signal) }
            return "wait: {any: [never, \(signal)], timeout: 1h, on_timeout: continue}"
        case 3: return "signal: {run: << run.id >>, name: other, body: << \(seen) >>}"
        default: return isMany ? "lua: return \(seen)" : "reply: {body: << \(seen) >>}"
        }
    }
}

/// The world outside of one run: answers by what is asked, so that the same request is always answered alike.
private struct World {
    let seed: UInt64
    /// What reached the world, by idempotency key.
    var bodies: [String: Set<[UInt8]>] = [:]

    func answer(_ request: OutboundRequest, attempt: Int) -> Result<OutboundResponse, TransportFailure> {
        var random = SeededRandom(
            seed: seed ^ UInt64(attempt) ^ request.url.utf8.reduce(5) { $0 &* 31 &+ UInt64($1) })
        switch Int.random(in: 0..<10, using: &random) {
        case 0: return .failure(.timeout)
        case 1: return .failure(.connection(reason: "refused"))
        case 2, 3: return .success(OutboundResponse(status: 503, headers: [], body: []))
        case 4: return .success(OutboundResponse(status: 404, headers: [], body: []))
        default:
            let body = JSON.bytes(["n": .int(Int64(attempt))])
            return .success(
                OutboundResponse(
                    status: 200, headers: [HTTPHeader("content-type", "application/json")], body: body))
        }
    }
}

/// Drives a run to its end, crashing now and then.
private struct Simulation {
    var play: Play
    var world: World
    var random: SeededRandom
    var crashPercent: Int
    /// What is durable: all that a crash leaves.
    var journal: [StoredEntry] = []
    var inFlight: [(step: String, attempt: Int, request: OutboundRequest, started: Instant)] = []
    var alarms: [(step: String, at: Instant)] = []
    /// Signals on their way to another run.
    var deliveries: [Int] = []
    var crashCount = 0
    var inputCount = 0
    let signals: [String]

    init(plan: RunPlan, signals: [String] = [], seed: UInt64, crashPercent: Int, run: Int64 = 7) {
        self.signals = signals
        play = Play(plan: plan, run: run)
        world = World(seed: seed)
        random = SeededRandom(seed: seed &+ 1)
        self.crashPercent = crashPercent
    }

    mutating func run(beginning: RunInput? = nil, looking: (Play) -> Void = { _ in }) throws {
        try take { play in
            if let beginning {
                play.now = beginning.startedAt ?? play.now
                play.feed(beginning)
                return
            }
            play.begin(body: ["n": 1, "flag0": true, "flag1": false], isFunded: true)
        }
        while play.outcome == nil, inputCount < 3_000 {
            inputCount += 1
            looking(play)
            try step()
        }
    }

    private mutating func step() throws {
        if random.happens(crashPercent) { return try crash() }
        if random.happens(4), !play.machine.state.isPaused {
            let now = play.now
            return try take { $0.feed(.fundsEnded(unsent: [], at: now)) }
        }
        if random.happens(4), !play.machine.state.isHeld {
            let now = play.now
            return try take { $0.feed(.held(reason: "chance", at: now)) }
        }
        if let signal = nextSignal(), inFlight.isEmpty || random.happens(30) {
            return try take { $0.signal(signal, ["n": .string(signal)]) }
        }
        if let index = deliveries.indices.randomElement(using: &random) {
            let (step, now) = (deliveries.remove(at: index), play.now)
            return try take { $0.feed(.delivered(step: step, error: nil, at: now)) }
        }
        if let index = inFlight.indices.randomElement(using: &random) {
            let sent = inFlight.remove(at: index)
            let result = world.answer(sent.request, attempt: sent.attempt)
            play.now = play.now + .milliseconds(Int64.random(in: 1...50, using: &random))
            let (now, step) = (play.now, play.index(sent.step))
            let outcome = TransferOutcome(result: result, startedAt: sent.started, finishedAt: now)
            try take { $0.feed(.answered(step: step, attempt: sent.attempt, outcome)) }
            // The transport may bring an answer twice as far as the engine is concerned.
            if random.happens(10) {
                try take { $0.feed(.answered(step: step, attempt: sent.attempt, outcome)) }
            }
        } else if play.machine.state.isPaused {
            let now = play.now
            try take { $0.feed(.fundsReturned(at: now)) }
        } else if play.machine.state.isHeld {
            let now = play.now
            try take { $0.feed(.released(at: now)) }
        } else if let next = alarms.indices.min(by: { alarms[$0].at < alarms[$1].at }) {
            let alarm = alarms.remove(at: next)
            play.now = max(play.now, alarm.at)
            let (now, step) = (play.now, play.index(alarm.step))
            try take { $0.feed(.retryDue(step: step, at: now)) }
        } else {
            Issue.record("nothing is in flight, waiting or paused, and the run is not over: \(play.steps)")
            inputCount = 3_000
        }
    }

    /// What somebody outside still wants to tell the run, as long as it has not durably taken it.
    private func nextSignal() -> String? {
        guard play.machine.state.ending == nil else { return nil }
        return signals.first { !play.machine.state.hasSignal($0) }
    }

    /// One input: its entries become durable, or the process dies before that; then its effects happen, or it dies before that.
    private mutating func take(_ input: (inout Play) -> Void) throws {
        let (records, sent, wakes) = (play.records.count, play.sent.count, play.wakes.count)
        let signals = play.signals.count
        input(&play)
        if !journal.isEmpty, random.happens(crashPercent) { return try crash() }
        journal += play.records[records...].map(\.stored)
        if random.happens(crashPercent) { return try crash() }
        for request in play.sent[sent...] {
            let key = request.request.headers["idempotency-key"] ?? ""
            world.bodies[key, default: []].insert(request.request.body)
            inFlight.append((request.step, request.attempt, request.request, play.now))
        }
        for signal in play.signals[signals...] {
            world.bodies[signal.signal.id + " signal", default: []].insert(JSON.bytes(signal.signal.body))
            deliveries.append(play.index(signal.step))
        }
        alarms += play.wakes[wakes...]
    }

    private mutating func crash() throws {
        crashCount += 1
        inFlight = []
        alarms = []
        deliveries = []
        let records = try journal.map { try JournalRecord(stored: $0) }
        var next = Play(plan: play.plan)
        next.machine = RunMachine(run: play.machine.state.run, plan: play.plan, records: records)
        next.now = play.now + .milliseconds(1)
        next.records = records
        play = next
        guard play.outcome == nil else { return }
        try take { $0.feed(.recovered(at: $0.now)) }
    }
}

@Suite("Recovery")
struct RecoveryTests {
    @Test(
        "whatever crashes between any two commits: same result, keys and bodies, each outcome once (I2, I3, I4)",
        arguments: 0..<8)
    func crashesChangeNothing(group: Int) throws {
        for seed in (UInt64(group) * 40)..<(UInt64(group) * 40 + 40) {
            let workflow = RandomWorkflow(seed: seed)
            let plan = try plan(workflow.text)
            var calm = Simulation(plan: plan, signals: workflow.signals, seed: seed, crashPercent: 0)
            try calm.run()
            var rough = Simulation(plan: plan, signals: workflow.signals, seed: seed, crashPercent: 15)
            try rough.run()
            check(rough, workflow, seed: seed)
            check(calm, workflow, seed: seed)
            // Which branch settles first may differ, but where all is certain the results are the same.
            if calm.isCertain(workflow) {
                #expect(rough.play.outcome == calm.play.outcome, "seed \(seed)")
                #expect(rough.play.steps == calm.play.steps, "seed \(seed)")
            }
        }
    }

    private func check(_ simulation: Simulation, _ workflow: RandomWorkflow, seed: UInt64) {
        #expect(simulation.play.outcome != nil, "seed \(seed): the run must end (I11)")
        let keys = simulation.journal.map(\.key)
        #expect(Set(keys).count == keys.count, "seed \(seed): an entry twice (I2)")
        #expect(
            simulation.journal.map(\.sequence) == Array(1...Int64(simulation.journal.count)), "seed \(seed)")
        for (key, bodies) in simulation.world.bodies {
            #expect(bodies.count == 1, "seed \(seed): \(key) was sent with \(bodies.count) bodies (I3)")
        }
        checkUndoing(simulation, workflow, seed: seed)
        let sum = simulation.journal.reduce(0) { $0 + $1.chargeMilliseconds }
        let total = simulation.play.machine.state.meter.totalMicroseconds
        #expect(sum == (total + 999) / 1000, "seed \(seed): charged \(sum) ms of \(total) µs (I7)")
    }

    /// Whatever ended a run that did not succeed: what it had done is undone, the last first.
    private func checkUndoing(_ simulation: Simulation, _ workflow: RandomWorkflow, seed: UInt64) {
        var (done, lost, undone): ([String], [String], [String]) = ([], [], [])
        var settled: Set<String> = []
        for case .stepSettled(let path, let result) in simulation.play.records.map(\.entry) {
            settled.insert(path)
            if path.hasSuffix("/compensate") {
                undone.append(String(path.dropLast("/compensate".count)))
            } else if result.error == nil, workflow.canUndo(path) {
                done.append(path)
                // Something around it has ended before it has: it lost a race.
                if settled.contains(where: { path.hasPrefix($0 + "/") }) { lost.append(path) }
            }
        }
        let hasSucceeded = simulation.play.outcome?.status == .succeeded
        let due = hasSucceeded ? lost : done
        if lost.isEmpty || hasSucceeded {
            #expect(undone == due.reversed(), "seed \(seed): undone")
        } else {
            #expect(undone.sorted() == due.sorted(), "seed \(seed): undone")
        }
        if workflow.hasFailingOutput, !workflow.hasFinishStep {
            #expect(!hasSucceeded, "seed \(seed): its output fails")
        }
    }

    @Test("the state is the fold of its entries at every one of them (I4)", arguments: 0..<4)
    func stateIsTheFold(group: Int) throws {
        for seed in (UInt64(group) * 30)..<(UInt64(group) * 30 + 30) {
            let workflow = RandomWorkflow(seed: seed &+ 10_000)
            let plan = try plan(workflow.text)
            var simulation = Simulation(plan: plan, signals: workflow.signals, seed: seed, crashPercent: 0)
            try simulation.run()
            let records = try simulation.journal.map { try JournalRecord(stored: $0) }
            let folded = RunMachine(run: RunID(number: 7), plan: plan, records: records)
            let (live, stored) = (simulation.play.machine, folded)
            #expect(live.view(errorsIn: records) == stored.view(errorsIn: records), "seed \(seed)")
            #expect(
                live.state.sequence == stored.state.sequence && live.state.isPaused == stored.state.isPaused
                    && live.state.isHeld == stored.state.isHeld,
                "seed \(seed)")
            #expect(
                live.state.meter.totalMicroseconds == stored.state.meter.totalMicroseconds, "seed \(seed)")
            #expect(
                live.state.meter.chargedMilliseconds == stored.state.meter.chargedMilliseconds, "seed \(seed)"
            )
        }
    }

    @Test(
        "every unfinished step says what it waits for, since no earlier than what is around it opened (I11)",
        arguments: 0..<4)
    func everyStepSaysWhatItWaitsFor(group: Int) throws {
        for seed in (UInt64(group) * 100)..<(UInt64(group) * 100 + 100) {
            let workflow = RandomWorkflow(seed: seed &+ 40_000)
            var simulation = Simulation(
                plan: try plan(workflow.text), signals: workflow.signals, seed: seed, crashPercent: 5)
            var said: [String: Value] = [:]
            try simulation.run { play in checkReasons(play, &said, seed: seed) }
        }
    }

    /// Takes into `said` what each step waits for: a reason that stays keeps its time.
    private func checkReasons(_ play: Play, _ said: inout [String: Value], seed: UInt64) {
        var openedAt: [String: Instant] = [:]
        for record in play.records {
            if case .stepOpened(let path, _) = record.entry { openedAt[path] = record.at }
        }
        let settled = ["succeeded", "failed", "skipped", "cancelled"]
        for step in play.machine.view(errorsIn: play.records)["steps"]?.array ?? []
        where !settled.contains(step["state"]?.text ?? "") {
            let path = step["id"]?.text ?? ""
            let reason = step["waits_for"] ?? .null
            let since = reason["since"]?.string.flatMap { Instant(rfc3339: $0) } ?? Instant(microseconds: 0)
            let opened = openedAt[path.split(separator: "/").dropLast().joined(separator: "/")] ?? Play.start
            let place = "seed \(seed): \(path) \(reason["kind"]?.text ?? "none")"
            #expect(
                (opened.milliseconds...play.now.milliseconds).contains(since.milliseconds),
                "\(place) since \(since.text), opened at \(opened.text), now \(play.now.text)")
            let isLasting = reason["kind"] == "end" || reason["kind"] == "steps"
            if isLasting, !path.hasSuffix("/compensate"), let before = said[path],
                before["kind"] == reason["kind"], before["steps"] == reason["steps"]
            {
                #expect(before == reason, "\(place) since \(before["since"]?.text ?? ""), now \(since.text)")
            }
            said[path] = reason
        }
    }

    @Test(
        "a fork from any step of any run goes on to an end and sends nothing that it has kept",
        arguments: 0..<4)
    func everyForkGoesOn(group: Int) throws {
        for seed in (UInt64(group) * 20)..<(UInt64(group) * 20 + 20) {
            let workflow = RandomWorkflow(seed: seed &+ 30_000)
            let plan = try plan(workflow.text)
            var simulation = Simulation(plan: plan, signals: workflow.signals, seed: seed, crashPercent: 0)
            try simulation.run()
            let records = try simulation.journal.map { try JournalRecord(stored: $0) }
            let machine = RunMachine(run: RunID(number: 7), plan: plan, records: records)
            for step in plan.definition.root.steps {
                let wish = RunFork.Wish(
                    kind: .fork, step: step.id, tenantName: "Acme", externalCustomerID: nil,
                    at: simulation.play.now)
                let fork = try RunFork(of: machine, records: records, onto: plan, wish)
                var again = Simulation(
                    plan: plan, signals: workflow.signals, seed: seed, crashPercent: 10, run: 8)
                try again.run(beginning: .forked(fork, isFunded: true))
                #expect(again.play.outcome != nil, "seed \(seed), from \(step.id)")
                let paths = fork.copies.compactMap(\.path)
                let kept = Set(paths.map { String($0.prefix { $0 != "/" }) })
                let keys = again.world.bodies.keys.map { String($0.split(separator: "/")[1]) }
                #expect(kept.isDisjoint(with: keys), "seed \(seed), from \(step.id): \(kept) and \(keys)")
                #expect(!kept.contains(step.id) && Set(paths).count == paths.count)
            }
        }
    }

    @Test("a journal cut after any entry goes on to an end", arguments: 0..<4)
    func everyPrefixGoesOn(group: Int) throws {
        for seed in (UInt64(group) * 15)..<(UInt64(group) * 15 + 15) {
            let workflow = RandomWorkflow(seed: seed &+ 20_000)
            let plan = try plan(workflow.text)
            var simulation = Simulation(plan: plan, signals: workflow.signals, seed: seed, crashPercent: 0)
            try simulation.run()
            for count in simulation.commitEnds() {
                var again = Simulation(plan: plan, signals: workflow.signals, seed: seed, crashPercent: 0)
                again.journal = Array(simulation.journal.prefix(count))
                try again.resume()
                #expect(again.play.outcome != nil, "seed \(seed), after \(count) entries")
                checkUndoing(again, workflow, seed: seed)
                if simulation.isCertain(workflow) {
                    #expect(
                        again.play.outcome == simulation.play.outcome, "seed \(seed), after \(count) entries")
                }
            }
        }
    }
}

extension RunInput {
    fileprivate var startedAt: Instant? {
        if case .forked(let fork, _) = self { return fork.start.at }
        return nil
    }
}

extension JournalEntry {
    fileprivate var path: String? {
        switch self {
        case .stepSettled(let path, _), .stepSkipped(let path, _): path
        default: nil
        }
    }
}

extension Simulation {
    /// Whether another order of the same answers must come to the same end.
    fileprivate func isCertain(_ workflow: RandomWorkflow) -> Bool {
        guard play.outcome?.status == .succeeded, !workflow.hasFinishStep, !workflow.hasRace else {
            return false
        }
        // What a failure inside a scope cuts short depends on what came first.
        return !play.steps.contains { $0.key.contains("/") && ["failed", "cancelled"].contains($0.value) }
    }

    /// Lengths of the journal at which a process may have died.
    fileprivate func commitEnds() -> [Int] {
        Array(1...journal.count).filter { journal[$0 - 1].kind != "run.finished" }
    }

    fileprivate mutating func resume() throws {
        try crash()
        while play.outcome == nil, inputCount < 3_000 {
            inputCount += 1
            try step()
        }
    }
}
