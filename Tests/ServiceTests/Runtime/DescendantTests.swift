import Engine
import MemoryStore
import Runtime
import Storage
import Testing
import Values

/// What one start may lead to by calls.
@Suite("Descendants of a run")
struct DescendantTests {
    private static func world(_ limit: Int) throws -> RuntimeWorld {
        var options = RuntimeOptions()
        options.descendantCountMax = limit
        return try RuntimeWorld(options: options)
    }

    private func runs(_ world: RuntimeWorld) throws -> [RunRecord] {
        try world.store.runs(of: .operatorTenant, RunQuery(limit: 1_000))
    }

    private func codes(_ world: RuntimeWorld) throws -> Set<String> {
        Set(try runs(world).compactMap { try world.runtime.view(of: $0)["error"]?["code"]?.string })
    }

    @Test(
        "a workflow that calls itself several times, detached or not, makes as many runs as one start may",
        arguments: [true, false])
    func breadthAndDepth(isDetached: Bool) throws {
        let world = try Self.world(50)
        try world.start(
            try world.deploy(
                """
                steps:
                  - id: again
                    strategy: {type: scatter, over: 3}
                    steps: [{id: c, call: flow, detach: \(isDetached)}]
                """))
        #expect(try runs(world).count == 51)
        #expect(try runs(world).allSatisfy { $0.status.isFinal })
    }

    @Test("the call that is one too many fails with a code of its own, and the next start begins anew")
    func refusal() throws {
        let world = try Self.world(3)
        try world.deploy("steps:\n  - lua: return 1", name: "child")
        let parent = try world.deploy(
            """
            steps:
              - id: each
                strategy: {type: fan_out, over: 5, concurrency: 1}
                call: child
            """, name: "parent")
        try world.start(parent)
        #expect(world.outcomes.items.map(\.status) == [.failed])
        #expect(try codes(world) == ["too_many_descendants"])
        #expect(try runs(world).count == 4)
        try world.start(parent)
        #expect(try runs(world).count == 8)
    }

    @Test("a restart goes on counting: by the children that a journal names, and by what open runs carry")
    func restart() throws {
        let world = try Self.world(4)
        try world.deploy("steps:\n  - lua: return 1", name: "child")
        try world.start(
            try world.deploy(
                """
                steps:
                  - id: first
                    strategy: {type: fan_out, over: 3}
                    call: child
                    detach: true
                  - wait: go
                  - id: second
                    strategy: {type: scatter, over: 3, concurrency: 1}
                    steps: [{id: c, call: child, detach: true}]
                """, name: "parent"))
        #expect(try runs(world).count == 4)
        let next = try world.crashed()
        try next.runtime.recover()
        let parent = try #require(try runs(next).first { $0.workflow == "parent" })
        next.runtime.signal(
            parent.run, of: .operatorTenant, RunSignal(id: "1", name: "go", body: .null)
        ) { _ in }
        #expect(try runs(next).count == 5)
    }

    @Test("a run carries its root and its number among the root's descendants in its first entry")
    func lineage() throws {
        let world = try Self.world(10)
        try world.deploy("steps:\n  - lua: return 1", name: "leaf")
        try world.deploy("steps:\n  - call: leaf\n  - call: leaf", name: "middle")
        try world.start(try world.deploy("steps:\n  - call: middle", name: "top"))
        var found: [String] = []
        for record in try runs(world).sorted(by: { $0.run < $1.run }) {
            let entries = try world.store.entries(of: record.run)
            guard let first = entries.first,
                case .runStarted(let start) = try JournalRecord(stored: first).entry
            else { continue }
            let root = start.lineage.map { $0.root == world.runs[0] ? "\($0.ordinal)" : "?" }
            found.append("\(record.workflow) \(root ?? "root")")
        }
        #expect(found == ["top root", "middle 1", "leaf 2", "leaf 3"])
    }
}
