import Storage
import Values

/// An item of a write transaction.
enum WriteItem: Sendable {
    typealias Completion = @Sendable (Result<CommitReceipt, StoreError>) -> Void

    case commit(RunCommit, Completion)
    case job(WriteJob)

    var isJob: Bool {
        if case .job = self { return true }
        return false
    }

    /// Reports the outcome to the caller.
    func finish(_ outcome: WriteOutcome) {
        switch self {
        case .commit(_, let completion): completion(outcome.receipt)
        case .job(let job):
            if case .failed(let error) = outcome { job.finish(error) } else { job.finish(nil) }
        }
    }
}

/// The outcome of one item of a transaction.
enum WriteOutcome: Sendable {
    case stored(balance: Int64?, depletion: Depletion?)
    case duplicate(of: RunID, isSameContent: Bool)
    /// A job ran; it holds its own result.
    case done
    case failed(StoreError)

    var receipt: Result<CommitReceipt, StoreError> {
        switch self {
        case .stored(let balance, let depletion): .success(.stored(balance: balance, depletion: depletion))
        case .duplicate(let first, let isSame): .success(.duplicate(of: first, isSameContent: isSame))
        case .done: .success(.stored(balance: nil, depletion: nil))
        case .failed(let error): .failure(error)
        }
    }
}

/// The work of a blocking member.
///
/// It may run twice, if the first transaction was abandoned.
class WriteJob: @unchecked Sendable {
    // Unchecked: the holder of the write queue's turn calls `run`, then `finish` once.

    /// - Throws: The member's error; its writes are undone.
    func run(_ writer: Writer) throws(StoreError) {}

    /// - Parameter failure: Why nothing was stored; nil after a synced transaction.
    func finish(_ failure: StoreError?) {}
}

/// A job whose result a thread waits for.
final class AwaitedJob<Output: Sendable>: WriteJob, @unchecked Sendable {
    // Unchecked: only the writer's thread uses `output`; the promise hands the result over.
    private let body: @Sendable (Writer) throws(StoreError) -> Output
    private let promise = Promise<Result<Output, StoreError>>()
    private var output: Output?

    init(_ body: @escaping @Sendable (Writer) throws(StoreError) -> Output) { self.body = body }

    override func run(_ writer: Writer) throws(StoreError) { output = try body(writer) }

    override func finish(_ failure: StoreError?) {
        if let failure { return promise.fulfil(.failure(failure)) }
        promise.fulfil(output.map { .success($0) } ?? .failure(.closed))
    }

    func wait() throws(StoreError) -> Output { try promise.wait().get() }
}
