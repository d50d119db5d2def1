import Foundation
import Testing
import Values

@Suite("Simulation of the whole service")
struct SimulationTests {
    /// `SIMULATE_SEEDS=17` or `SIMULATE_SEEDS=1000-1999`; those of ``Coverage`` where nothing is said.
    static let seeds: ClosedRange<UInt64> = {
        let text =
            ProcessInfo.processInfo.environment["SIMULATE_SEEDS"]
            ?? "\(Coverage.seeds.lowerBound)-\(Coverage.seeds.upperBound)"
        let parts = text.split(separator: "-").compactMap { UInt64($0) }
        guard let first = parts.first, let last = parts.last, first <= last else { return Coverage.seeds }
        return first...last
    }()

    /// Seeds that one test case runs, so that the cases share the cores and each is short.
    static let portions: [ClosedRange<UInt64>] = stride(
        from: seeds.lowerBound, through: seeds.upperBound, by: 10
    )
    .map { $0...min($0 + 9, seeds.upperBound) }

    /// What has happened in the seeds so far.
    private static let gathered = GatheredTally()

    @Test("I1 to I12 hold through crashes, takeovers, lost answers and full disks", arguments: portions)
    func promisesHold(seeds: ClosedRange<UInt64>) throws {
        var tally = Tally()
        for seed in seeds {
            let simulation = Simulation(seed: seed).run()
            let path = ProcessInfo.processInfo.environment["SIMULATE_STORY"]
            if let path { try simulation.story.text.write(toFile: path, atomically: true, encoding: .utf8) }
            #expect(
                simulation.violations.isEmpty,
                "seed \(seed): \(simulation.violations.map(\.description)); again: make simulate SEEDS=\(seed)"
            )
            tally.add(simulation.tally)
        }
        // Whoever comes last looks at what all have done.
        guard let all = Self.gathered.add(tally, of: seeds.count, until: Self.seeds.count) else { return }
        if ProcessInfo.processInfo.environment["SIMULATE_SEEDS"] != nil { print(all.text) }
        guard Self.seeds == Coverage.seeds else { return }
        for (name, least) in Coverage.least {
            #expect(all.counts[name, default: 0] >= least, "too few of: \(name)")
        }
    }
}

/// Adds up what portions of the seeds have done, on whichever threads.
private final class GatheredTally: @unchecked Sendable {
    // Unchecked: `tally` and `seedCount` are read and written under `lock`.
    private let lock = Lock()
    private var tally = Tally()
    private var seedCount = 0

    /// Returns the sum once `total` seeds are in it.
    func add(_ more: Tally, of count: Int, until total: Int) -> Tally? {
        lock.withLock {
            tally.add(more)
            seedCount += count
            return seedCount == total ? tally : nil
        }
    }
}
