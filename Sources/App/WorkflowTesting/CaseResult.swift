import Values
package import Workflow

/// How one case went.
package struct CaseResult: Sendable {
    package var name: String
    package var mark: Mark
    package var differences: [Difference]
    /// What each case adds to the file's coverage.
    var traces: Trace

    package var hasPassed: Bool { differences.isEmpty }
}

/// What a run went through.
struct Trace: Sendable {
    /// Ids of steps that did their work, succeeded or not.
    var run: Set<String> = []
    var skipped: Set<String> = []
    var guardTrue: Set<String> = []
    var guardFalse: Set<String> = []
    var retried: Set<String> = []
    /// Steps with `on_error: continue` that failed.
    var forgiven: Set<String> = []
    /// Waits that a signal ended, and those that time ended.
    var signalled: Set<String> = []
    var timedOut: Set<String> = []
    var isAccepted = false
    var isRefused = false

    mutating func merge(_ other: Trace) {
        run.formUnion(other.run)
        skipped.formUnion(other.skipped)
        guardTrue.formUnion(other.guardTrue)
        guardFalse.formUnion(other.guardFalse)
        retried.formUnion(other.retried)
        forgiven.formUnion(other.forgiven)
        signalled.formUnion(other.signalled)
        timedOut.formUnion(other.timedOut)
        isAccepted = isAccepted || other.isAccepted
        isRefused = isRefused || other.isRefused
    }
}
