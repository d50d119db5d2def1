/// Shares out the open files of a process: without room for the database and for the requests of steps,
/// callers who only keep connections open would stop everybody's runs.
struct OpenFiles {
    /// The smallest limit with which the server starts.
    static let limitMin = 128
    /// For the database, the library's own descriptors, logs and what is kept alive.
    private static let reserve = 64

    /// Connections to each of the two listeners.
    let connectionCountMax: Int
    /// Requests of steps under way.
    let requestCountMax: Int

    /// What fits into `limit` of what is wanted: requests get at least half of what is not reserved.
    init(limit: Int, connections: Int, requests: Int) {
        let free = max(0, limit - Self.reserve)
        requestCountMax = max(1, min(requests, free / 2))
        connectionCountMax = max(8, min(connections, (free - requestCountMax) / 2))
    }
}
