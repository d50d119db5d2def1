/// How a command ended, as the shell sees it.
package enum ExitCode: Int32, Sendable, CaseIterable {
    case ok = 0
    case notOK = 1
    case usage = 2
    case refused = 3
    case unreachable = 4
    case serverFault = 5
    case `internal` = 70
    case storeFailed = 75

    /// For the help and `docs/cli.md`.
    package var meaning: String {
        switch self {
        case .ok: "done"
        case .notOK: "problems were found, the run failed, or a check failed"
        case .usage: "the command line, a setting or a file is invalid; nothing was done"
        case .refused: "the server refused the request (4xx)"
        case .unreachable: "the server cannot be reached"
        case .serverFault: "the server failed (5xx)"
        case .internal: "an internal error, or an error of this machine"
        case .storeFailed: "serve: the database cannot be written; restart the server"
        }
    }
}
