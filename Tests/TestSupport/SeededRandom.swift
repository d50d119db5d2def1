import Values

/// A generator whose seed makes everything that follows from it repeatable (SplitMix64).
package struct SeededRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    /// A generator of its own for one part, so that a change in one leaves the others as they were.
    package func fork(_ part: UInt64) -> SeededRandom {
        var copy = SeededRandom(seed: state ^ (part &* 0xD1B5_4A32_D192_ED03))
        _ = copy.next()
        return copy
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    package mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }

    /// Whether something happens that happens `percent` times in a hundred.
    package mutating func happens(_ percent: Int) -> Bool {
        Int.random(in: 0..<100, using: &self) < percent
    }

    package mutating func pick<Element>(_ items: [Element]) -> Element {
        items[number(0...(items.count - 1))]
    }

    /// A duration in the range, in microseconds.
    package mutating func duration(_ least: Duration, _ most: Duration) -> Duration {
        .microseconds(Int64.random(in: least.microseconds...most.microseconds, using: &self))
    }
}
