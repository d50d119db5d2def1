package import Ports
package import Values

/// Everything that can happen to a run.
///
/// Each carries the instant at which it did.
package enum RunInput: Sendable {
    /// The run begins. Not funded: it is kept, paused, until the tenant's balance is above zero.
    case started(RunStart, isFunded: Bool)
    /// The run begins with what another has done already; see ``RunFork``.
    case forked(RunFork, isFunded: Bool)
    /// The process has read the run back from its journal.
    case recovered(at: Instant)
    /// The wall clock has been stepped: until now by `shift` in all, in the life of the installation.
    ///
    /// To be given before any other input whose instants are newer than the step.
    case clockStepped(shift: Duration, at: Instant)
    /// An attempt has ended.
    case answered(step: Int, attempt: Int, TransferOutcome)
    /// A signal has come.
    case signalled(RunSignal, at: Instant)
    /// A signal to another run has been stored there, or never will be.
    case delivered(step: Int, error: StepError?, at: Instant)
    /// The child that a step asked for is durable.
    case called(step: Int, child: RunID, at: Instant)
    /// No child was started, nor will be.
    case notCalled(step: Int, error: StepError, at: Instant)
    /// A child is over.
    case childEnded(step: Int, child: RunID, RunOutcome, at: Instant)
    /// It is the run's turn: fewer than the limit of its concurrency key go.
    case admitted(at: Instant)
    /// The run's own timeout has come.
    case timeoutDue(at: Instant)
    /// The time of a retry, of the end of a sleep or of a wait has come.
    case retryDue(step: Int, at: Instant)
    /// The balance is used up, or the run is ending; `unsent` are requests that had been decided and were
    /// held back.
    case fundsEnded(unsent: [Int], at: Instant)
    case fundsReturned(at: Instant)
    /// A person pauses the run, or lets it go on.
    case held(reason: String, at: Instant)
    case released(at: Instant)
    /// Requests that had been decided and were held back, because the run was paused by a person meanwhile.
    case withheld(unsent: [Int], at: Instant)
    case cancelRequested(reason: String, at: Instant)
    /// Others had their turn after ``RunEffect/goOn``.
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
            .cancelRequested(_, let at), .resumed(let at):
            at
        }
    }
}

/// What the world is asked to do.
///
/// Nothing of it may happen before the entries decided with it are durable (I1).
package enum RunEffect: Sendable {
    /// Send this and answer with ``RunInput/answered(step:attempt:_:)``.
    case send(step: Int, attempt: Int, OutboundRequest)
    /// Nobody waits for the answer to that step any more: end the transfer where that is possible.
    case abandon(step: Int)
    /// Answer with ``RunInput/retryDue(step:at:)`` at that instant: once the wall clock shows it, if
    /// `isWallTime`, and else once as much time has passed.
    case wake(step: Int, at: Instant, isWallTime: Bool)
    /// Answer with ``RunInput/timeoutDue(at:)`` once as much time has passed.
    case wakeRun(at: Instant)
    /// Give that signal to a run of the same tenant, and answer with ``RunInput/delivered(step:error:at:)``.
    case signal(step: Int, run: String, RunSignal)
    /// Start that child once for the step's path, and answer with ``RunInput/called(step:child:at:)`` or
    /// ``RunInput/notCalled(step:error:at:)``.
    case call(step: Int, ChildCall)
    /// Answer with ``RunInput/childEnded(step:child:_:at:)`` once that run is over; it may be already.
    case awaitChild(step: Int, RunID)
    /// End that child; its end is told as any other.
    case cancelChild(RunID, reason: String)
    /// Answer whoever waits for the run, if anyone still does.
    case reply(RunReply)
    /// Let other runs have their turn, then answer with ``RunInput/resumed(at:)``: there is more to
    /// compute than one turn may.
    case goOn
    /// Tell whoever waits for the run, and forget it.
    case finish(RunOutcome)
}

/// What a `reply` step answers.
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

/// What one input led to.
package struct Decision: Sendable {
    /// To be stored together, or not at all; empty where nothing durable changed.
    package var records: [JournalRecord] = []
    /// In order.
    package var effects: [RunEffect] = []

    /// Nothing.
    package init() {}
}

/// What a run's decisions rest on beside its journal.
///
/// A class, because all runs of a workflow share one.
package final class Surroundings: Sendable {
    package let tenant: TenantID
    package let secrets: OpenSecrets
    /// Takes out the values of the secrets that the workflow names.
    package let redactor: Redactor
    package let cryptography: any Cryptography
    /// Makes the tokens by which outsiders may signal one run; empty for no tokens.
    package let signalKey: [UInt8]
    /// How the world reaches this server, without a slash at the end; for the addresses that runs hand out.
    package let publicURL: String
    /// Measures what expressions compute; nil where their work together has no limit and no price.
    package let gauge: (any WorkGauge)?
    /// Bytes of a run's journal above which the run fails, at least 0.
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
