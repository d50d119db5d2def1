import Storage
import Testing

@Suite("Repeatability of simulations")
struct RepeatabilityTests {
    @Test("the same seed tells the same story, byte for byte", arguments: [UInt64(3), 11, 29, 64, 101])
    func sameSeedSameStory(seed: UInt64) {
        let (first, second) = (Simulation(seed: seed).run().story, Simulation(seed: seed).run().story)
        for (one, other) in zip(first.lines, second.lines) where one != other {
            Issue.record("seed \(seed): \(one)\nand then: \(other)")
            return
        }
        #expect(first.text == second.text)
    }

    @Test("another seed tells another story")
    func otherSeedOtherStory() {
        #expect(Simulation(seed: 1).run().story.text != Simulation(seed: 2).run().story.text)
    }

    @Test("a story has crashes, takeovers, repeated requests and runs of every end in it")
    func storiesAreRough() {
        var (crashes, processes, sends, effects, kinds) = (0, 0, 0, 0, Set<String>())
        for seed in UInt64(1)...12 {
            let simulation = Simulation(seed: seed).run()
            crashes += simulation.crashCount
            processes += simulation.processCount
            sends += simulation.oracle.sendCount
            effects += simulation.world.shop.effectCount
            for run in simulation.oracle.runs.values { kinds.formUnion(run.entries.map(\.kind)) }
        }
        #expect(crashes > 12)
        #expect(processes > crashes + 12)
        #expect(sends > effects && effects > 100)
        let all: Set = [
            "run.started", "step.succeeded", "step.failed", "step.skipped", "step.attempt_failed",
            "step.sleeping",
            "step.waiting", "step.calling", "step.opened", "run.held", "run.released", "signal.received",
            "run.paused", "run.resumed", "run.cancel_requested", "run.output_failed",
            "run.finished",
        ]
        #expect(kinds.isSuperset(of: all), "\(all.subtracting(kinds))")
    }
}
