package import Ports
package import Values

/// An event of a run, with the instant at which it happened.
package enum RunInput: Sendable {
    /// The run begins; if it is not funded, it is stored and paused until the tenant's balance is above zero.
    case started(RunStart, isFunded: Bool)
    /// The run begins with the outcomes of another run; see ``RunFork``.
    case forked(RunFork, isFunded: Bool)
    /// The process has read the run back from its journal.
    case recovered(at: Instant)
    /// The wall clock has been stepped; `shift` is the total over the life of the installation.
    ///
    /// This input must precede any other whose instant is newer than the step.
    case clockStepped(shift: Duration, at: Instant)
    /// An attempt has ended.
    case answered(step: Int, attempt: Int, TransferOutcome)
    /// A signal has arrived.
    case signalled(RunSignal, at: Instant)
    /// A signal to another run has been stored there, or failed for good.
    case delivered(step: Int, error: StepError?, at: Instant)
    /// The child that a step requested is durable.
    case called(step: Int, child: RunID, at: Instant)
    /// No child was started or will be.
    case notCalled(step: Int, error: StepError, at: Instant)
    /// A child is over.
    case childEnded(step: Int, child: RunID, RunOutcome, at: Instant)
    /// The run's turn has come within the limit of its concurrency key.
    case admitted(at: Instant)
    /// The run's own timeout has passed.
    case timeoutDue(at: Instant)
    /// A retry, or the end of a sleep or wait, is due.
    case retryDue(step: Int, at: Instant)
    /// The balance is used up, or the run is ending; `unsent` lists decided requests that were held back.
    case fundsEnded(unsent: [Int], at: Instant)
    case fundsReturned(at: Instant)
    /// A person pauses the run, or lets it continue.
    case held(reason: String, at: Instant)
    case released(at: Instant)
    /// Decided requests were held back, because a person paused the run meanwhile.
    case withheld(unsent: [Int], at: Instant)
    /// A person cancels the run, or its caller needs it no longer.
    ///
    /// A caller asks again after a restart, so only a person's cancel ends `finally` steps (`cutsFinally`). If the run is
    /// ending already, it goes down to the children that the run waits for.
    case cancelRequested(reason: String, cutsFinally: Bool = true, at: Instant)
    /// Other runs have had their turn after ``RunEffect/goOn``.
    case resumed(at: Instant)

    var at: Instant {
        switch self {
        case .started(let start, _): start.at
        case .forked(let fork, _): fork.start.at
        case .answered(_, _, let outcome): outcome.finishedAt
        case .recovered(let at), .signalled(_, let at), .clockStepped(_, let at),
            .delivered(_, _, let at), .called(_, _, let at), .notCalled(_, _, let at),
            .childEnded(_, _, _, let at), .admitted(let at), .timeoutDue(let at), .retryDue(_, let at),
            .fundsEnded(_, let at),
            .fundsReturned(let at), .held(_, let at), .released(let at), .withheld(_, let at),
            .cancelRequested(_, _, let at), .resumed(let at):
            at
        }
    }
}

/// An action that the engine requests.
///
/// It must not be carried out before the entries of the same decision are durable (I1).
package enum RunEffect: Sendable {
    /// Send this request and answer with ``RunInput/answered(step:attempt:_:)``.
    case send(step: Int, attempt: Int, OutboundRequest)
    /// Cancel the transfer if possible; the step's response is no longer needed.
    case abandon(step: Int)
    /// Answer with ``RunInput/retryDue(step:at:)`` at that instant.
    ///
    /// If `isWallTime`, that is when the wall clock shows it; otherwise, when as much time has passed.
    case wake(step: Int, at: Instant, isWallTime: Bool)
    /// Answer with ``RunInput/timeoutDue(at:)`` when as much time has passed.
    case wakeRun(at: Instant)
    /// Deliver the signal to a run of the same tenant, and answer with
    /// ``RunInput/delivered(step:error:at:)``.
    case signal(step: Int, run: String, RunSignal)
    /// Start the child once for the step's path.
    ///
    /// Answer with ``RunInput/called(step:child:at:)`` or ``RunInput/notCalled(step:error:at:)``.
    case call(step: Int, ChildCall)
    /// Answer with ``RunInput/childEnded(step:child:_:at:)`` once that run is over, which it may be already.
    case awaitChild(step: Int, RunID)
    /// Cancel the child; its end is reported like any other. With `cutsFinally`, its `finally` steps as well.
    case cancelChild(RunID, reason: String, cutsFinally: Bool)
    /// Respond to the caller that waits for the run, if there still is one.
    case reply(RunReply)
    /// Let other runs have their turn, then answer with ``RunInput/resumed(at:)``.
    ///
    /// The rest of the computation exceeds the bound of one turn.
    case goOn
    /// Notify those who wait for the run, and drop it from memory.
    case finish(RunOutcome)
}

/// The response of a `reply` step.
package struct RunReply: Sendable, Hashable {
    package var status: Int
    package var headers: [HTTPHeader]
    package var body: [UInt8]

    package init(status: Int, headers: [HTTPHeader], body: [UInt8]) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}

/// The result of one input.
package struct Decision: Sendable {
    /// To be stored together or not at all; empty if nothing durable changed.
    package var records: [JournalRecord] = []
    /// In order.
    package var effects: [RunEffect] = []

    /// An empty decision.
    package init() {}
}

/// The inputs of a run's decisions besides its journal.
///
/// A class, because all runs of a workflow share one.
package final class Surroundings: Sendable {
    package let tenant: TenantID
    package let secrets: OpenSecrets
    /// Removes the values of the secrets that the workflow names.
    package let redactor: Redactor
    package let cryptography: any Cryptography
    /// The key of the tokens with which outsiders may signal a run; empty for no tokens.
    package let signalKey: [UInt8]
    /// The public URL of this server without a trailing slash, for the URLs that runs hand out.
    package let publicURL: String
    /// Measures the work of expressions; nil if their total is neither limited nor charged.
    package let gauge: (any WorkGauge)?
    /// Most bytes of a run's journal, at least 0; beyond it the run fails.
    package let runByteCountMax: Int

    package init(
        tenant: TenantID, secrets: OpenSecrets, redactor: Redactor, cryptography: any Cryptography,
        signalKey: [UInt8] = [], publicURL: String = "", gauge: (any WorkGauge)? = nil,
        runByteCountMax: Int = .max
    ) {
        self.tenant = tenant
        self.secrets = secrets
        self.redactor = redactor
        self.cryptography = cryptography
        self.signalKey = signalKey
        self.publicURL = publicURL
        self.gauge = gauge
        self.runByteCountMax = runByteCountMax
    }
}
