import MemoryStore
import Storage
import Testing
import Values

@Suite("Memory store")
struct MemoryStoreTests {
    @Test("I2: a store that was taken over writes nothing")
    func olderEpochIsFenced() throws {
        let older = MemoryStore(sha256: Digest.sha256)
        let newer = older.reopened()
        #expect(throws: StoreError.fenced(heldEpoch: 1, currentEpoch: 2)) {
            try older.commitAndWait(Sample.start(Sample.run(1)))
        }
        #expect(try newer.entries(of: Sample.run(1)).isEmpty)
    }

    @Test("commits that wait for a flush are lost in a crash; what was flushed is not")
    func crashLosesWhatWaits() throws {
        let store = MemoryStore(completesOnFlush: true, sha256: Digest.sha256)
        let first = Promise<Result<CommitReceipt, StoreError>>()
        store.commit(Sample.step(Sample.run(1), "a", charge: 2), inPlace: true) { first.fulfil($0) }
        #expect(first.wait(atMost: .zero) == nil)
        store.flush()
        #expect(try first.wait().get() == .stored(balance: -2, depletion: nil))
        store.commit(Sample.step(Sample.run(1), "b"), inPlace: true) { _ in }
        let reopened = store.reopened()
        #expect(try reopened.entries(of: Sample.run(1)).map(\.key) == ["a"])
        #expect(store.flushCount == 1)
    }

    @Test("an injected failure leaves nothing; after a failed disk nothing is taken")
    func failuresAreInjected() throws {
        let store = MemoryStore(sha256: Digest.sha256)
        store.failNext(.full)
        #expect(throws: StoreError.full) { try store.commitAndWait(Sample.start(Sample.run(1))) }
        _ = try store.commitAndWait(Sample.start(Sample.run(1)))
        let broken = StoreError.failed(code: 10, message: "injected")
        store.failNext(broken)
        #expect(throws: broken) { try store.addTenant(Sample.tenantRow()) }
        #expect(throws: broken) { try store.commitAndWait(Sample.step(Sample.run(1), "a")) }
        #expect(try store.entries(of: Sample.run(1)).count == 1)
    }
}
