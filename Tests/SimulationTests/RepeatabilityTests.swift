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
}
