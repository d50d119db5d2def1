import Testing

@Suite("Builds that are broken on purpose")
struct BrokenBuildTests {
    /// What the oracle must say of each defect.
    static let expected: [(defect: Defect, invariant: Invariant)] = [
        (.fenceOff, .i2), (.entryNumbersOff, .i2), (.dedupeKeysOff, .i3), (.referencesOff, .i8),
        (.commitAfterSend, .i1),
        (.startsAnsweredEarly, .i5), (.secretsKept, .i9), (.tenantsMixed, .i10), (.chargesDropped, .i7),
        (.entriesRewritten, .i4),
        (.balancesMoved, .i6), (.ledgerRewritten, .i6), (.ledgerUnchained, .i6),
        (.copiesForgotten, .i3), (.copiesCharged, .i7), (.ordersRepeated, .i3),
        (.balanceTooHigh, .i12), (.inFlightForgotten, .i11),
    ]

    @Test("each defect is seen within the 200 seeds, as the promise that it breaks", arguments: expected)
    func defectIsSeen(defect: Defect, invariant: Invariant) {
        for seed in UInt64(1)...200 {
            let violations = Simulation(seed: seed, defect: defect).run().violations
            if violations.contains(where: { $0.invariant == invariant }) { return }
        }
        Issue.record("no seed shows \(defect.rawValue)")
    }

    @Test("every defect has a promise that it breaks")
    func defectsAreAllExpected() {
        #expect(Set(Self.expected.map(\.defect)) == Set(Defect.allCases))
    }
}
