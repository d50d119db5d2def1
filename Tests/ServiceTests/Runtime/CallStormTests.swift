import Engine
import MemoryStore
import Ports
import Runtime
import Storage
import TestSupport
import Testing
import Values

/// Runs under few keys with low limits that call each other in every way, drawn from one seed.
private struct CallStorm {
    private static let names = ["a", "b", "c"]
    private static let runCount = 10

    private var random: SeededRandom
    private let isDelayed: Bool
    private(set) var world: RuntimeWorld
    private(set) var runs: [RunID] = []

    init(seed: UInt64) throws {
        random = SeededRandom(seed: seed)
        isDelayed = Bool.random(using: &random)
        world = try RuntimeWorld(completesOnFlush: isDelayed)
    }

    mutating func play() throws {
        for _ in 0..<Self.runCount {
            // A store that delays its commits does them all before a deployment, under the catalog's lock.
            for name in Self.names where runs.isEmpty || number(4) == 0 && !isDelayed { try deploy(name) }
            try start()
            for _ in 0..<number(4) { try step() }
        }
        for _ in 0..<2_000 where world.runtime.load.openRuns > 0 { try step() }
    }

    private mutating func number(_ count: Int) -> Int { Int.random(in: 0..<count, using: &random) }

    private mutating func deploy(_ name: String) throws {
        try world.deploy(
            """
            concurrency: {key: << trigger.body.key >>, limit: \(1 + number(3))}
            steps:
              - request: {url: https://a.example/}
              - strategy: {type: scatter, over: << trigger.body.calls >>, concurrency: \(1 + number(2))}
                call: {workflow: << item.name >>}
                input: << item >>
            """, name: name)
    }

    private mutating func start() throws {
        let (name, body) = (Self.names[number(3)], tree(depth: 3))
        let before = world.results.items.count
        try world.start(try #require(try world.catalog.plan(named: name, of: .operatorTenant)), body: body)
        for _ in 0..<3 { world.store.flush() }
        for result in world.results.items.dropFirst(before) {
            if case .started(let run) = result { runs.append(run) }
        }
    }

    private mutating func tree(depth: Int) -> Value {
        let count = depth == 0 ? 0 : number(3)
        let calls = (0..<count).map { _ in tree(depth: depth - 1) }
        return [
            "name": .string(Self.names[number(3)]), "key": .string(["k", "l"][number(2)]),
            "calls": .array(calls),
        ]
    }

    private mutating func step() throws {
        if number(25) == 0 {
            world = try world.crashed()
            try world.runtime.recover()
        }
        let waiting = world.transport.waiting
        if !waiting.isEmpty { world.transport.succeed(waiting[number(waiting.count)]) }
        for _ in 0..<number(3) { world.store.flush() }
        world.clock.advance(by: .seconds(1))
    }
}

@Suite("Runs that call each other under few keys")
struct CallStormTests {
    @Test("none waits for ever, whoever holds the places, also through crashes", arguments: 0..<6)
    func allEnd(portion: Int) throws {
        for seed in UInt64(portion * 10)..<UInt64(portion * 10 + 10) {
            var storm = try CallStorm(seed: seed)
            try storm.play()
            #expect(storm.world.runtime.load.openRuns == 0, "seed \(seed)")
            for run in storm.runs {
                #expect(try storm.world.status(of: run)?.isFinal == true, "seed \(seed): \(run)")
            }
        }
    }
}
