import Storage
import Values

/// One process's way to the store: group commits that take a while, a full disk, a lost answer, and an end at
/// any moment.
///
/// Between the runtime and the store under test; what it lets through is what that store says.
final class MortalStore: ForwardingStore, @unchecked Sendable {
    // Unchecked: used by one thread.
    /// What it asks of the simulation.
    struct Surroundings: Sendable {
        let timeline: Timeline
        let life: Life
        /// Whether there is no room on the disk just now.
        let isFull: @Sendable () -> Bool
        /// How long the next group waits; nil for a commit on the caller's own thread.
        let nextDelay: @Sendable (_ isAloneAndMayBeInPlace: Bool) -> Duration?
        /// Whether the store's answer to the next commit is lost, so that it is stored a second time.
        let losesAnswer: @Sendable () -> Bool
        /// Told before anyone above hears of it.
        let observe: @Sendable (RunCommit, Result<CommitReceipt, StoreError>) -> Void
        /// A breach of the store's rules by the caller.
        let complain: @Sendable (String) -> Void
    }

    private let around: Surroundings
    /// Stores all that waits in `inner`, as one transaction.
    private let flushInner: @Sendable () -> Void
    private var waiting: [(commit: RunCommit, completion: Completion)] = []
    private var isFlushPlanned = false
    /// Whether completions are being called: no write may wait for the store then.
    private var isOnStoreThread = false

    init(_ inner: any Store, flush: @escaping @Sendable () -> Void, _ around: Surroundings) {
        self.around = around
        flushInner = flush
        super.init(inner)
    }

    override func close() {}

    // MARK: - Commits

    override func commit(_ commit: RunCommit, inPlace: Bool, completion: @escaping Completion) {
        guard around.life.spend("a commit is handed over") else { return }
        waiting.append((commit, completion))
        guard !isFlushPlanned else { return }
        guard let delay = around.nextDelay(inPlace && waiting.count == 1) else { return flush() }
        isFlushPlanned = true
        around.timeline.plan(after: delay) { [self] in
            isFlushPlanned = false
            flush()
        }
    }

    private func flush() {
        guard !waiting.isEmpty, around.life.spend("a transaction") else { return }
        let batch = waiting
        waiting = []
        var results = [Result<CommitReceipt, StoreError>](
            repeating: .failure(.full), count: batch.count)
        if !around.isFull() { results = store(batch.map(\.commit)) }
        for (item, result) in zip(batch, results) { around.observe(item.commit, result) }
        isOnStoreThread = true
        for (item, result) in zip(batch, results) where around.life.spend("a commit is answered") {
            item.completion(result)
        }
        isOnStoreThread = false
    }

    private func store(_ commits: [RunCommit]) -> [Result<CommitReceipt, StoreError>] {
        let results = Results(count: commits.count)
        for (index, commit) in commits.enumerated() {
            inner.commit(commit, inPlace: false) { results.kept[index] = $0 }
        }
        flushInner()
        for (index, commit) in commits.enumerated() where commit.start == nil && !commit.entries.isEmpty {
            guard case .success = results.kept[index], around.losesAnswer() else { continue }
            // As a client does that heard nothing: the same once more.
            inner.commit(commit, inPlace: false) { results.kept[index] = $0 }
            flushInner()
        }
        return results.kept
    }

    private final class Results: @unchecked Sendable {
        // Unchecked: used by one thread.
        var kept: [Result<CommitReceipt, StoreError>]

        init(count: Int) { kept = Array(repeating: .failure(.closed), count: count) }
    }

    // MARK: - Passing on

    override func writing<Output>(
        _ what: String, _ body: () throws(StoreError) -> Output
    ) throws(StoreError) -> Output {
        if isOnStoreThread, !around.life.isOver {
            around.complain("\(what) blocks the store's own thread, which would wait for itself")
        }
        flush()
        guard around.life.spend(what) else { throw .closed }
        if around.isFull() { throw .full }
        let output = try body()
        guard around.life.spend("the answer to " + what) else { throw .closed }
        return output
    }

    override func reading<Output>(
        _ body: () throws(StoreError) -> Output
    ) throws(StoreError) -> Output {
        if around.life.isOver { throw .closed }
        return try body()
    }
}
