import Foundation
import Testing

@Suite("Simulation of the whole service")
struct SimulationTests {
    /// `SIMULATE_SEEDS=17` or `SIMULATE_SEEDS=1000-1999`; 200 seeds where nothing is said.
    static let seeds: ClosedRange<UInt64> = {
        let text = ProcessInfo.processInfo.environment["SIMULATE_SEEDS"] ?? "1-200"
        let parts = text.split(separator: "-").compactMap { UInt64($0) }
        guard let first = parts.first, let last = parts.last, first <= last else { return 1...200 }
        return first...last
    }()

    /// Seeds that one test case runs, so that the cases share the cores and each is short.
    static let portions: [ClosedRange<UInt64>] = stride(
        from: seeds.lowerBound, through: seeds.upperBound, by: 10
    )
    .map { $0...min($0 + 9, seeds.upperBound) }

    @Test("I1 to I12 hold through crashes, takeovers, lost answers and full disks", arguments: portions)
    func promisesHold(seeds: ClosedRange<UInt64>) throws {
        for seed in seeds {
            let simulation = Simulation(seed: seed).run()
            let path = ProcessInfo.processInfo.environment["SIMULATE_STORY"]
            if let path { try simulation.story.text.write(toFile: path, atomically: true, encoding: .utf8) }
            #expect(
                simulation.violations.isEmpty,
                "seed \(seed): \(simulation.violations.map(\.description)); again: make simulate SEEDS=\(seed)"
            )
        }
    }
}
