import TestSupport
import Values

/// What goes wrong on the way to a peer and back.
enum NetworkFault: CaseIterable, Sendable {
    /// Nobody answers at the address.
    case refused
    /// The request is lost.
    case requestLost
    /// The work is done, and the answer is lost.
    case answerLost
    /// The work is done, and the connection breaks off.
    case resetAfterWork
    /// The request arrives twice.
    case doubled
    /// The peer is out of order and does nothing.
    case outage
    /// The work is done, and the peer says that it failed.
    case outageAfterWork
    /// The peer asks to come again later.
    case rateLimited
    /// The answer takes long, perhaps too long.
    case slow
}

/// What goes wrong with one seed, and how often; all of it stops when the quiet begins.
struct FaultPlan: Sendable {
    /// Of a hundred exchanges on the network.
    var networkPercent: Int
    /// Of a hundred alarms that fire late.
    var lateAlarmPercent: Int
    /// Of a hundred commits whose answer is lost, so that they are handed in twice.
    var lostCommitAnswerPercent: Int
    var crashCount: Int
    /// Of a hundred ends of runs and scopes with requests under way, those after which the process ends soon.
    var crashWhileEndingPercent = 40
    var takeoverCount: Int
    var fullDiskCount: Int
    var stallCount: Int
    /// Whether a new process may start with a clock behind that of the one before.
    var setsClockBack: Bool
    /// What an evaluation counts as.
    var workStep: Duration

    /// Another mixture for each seed: some calm, some rough.
    init(_ random: inout SeededRandom) {
        networkPercent = random.pick([0, 5, 15, 30])
        lateAlarmPercent = random.pick([0, 10, 40])
        lostCommitAnswerPercent = random.pick([0, 0, 4])
        crashCount = random.number(0...5)
        takeoverCount = random.pick([0, 1, 1, 2])
        fullDiskCount = random.pick([0, 0, 1, 2])
        stallCount = random.pick([0, 0, 1, 2])
        setsClockBack = random.happens(25)
        workStep = random.pick([.microseconds(10), .microseconds(10), .milliseconds(1), .milliseconds(3)])
    }
}
