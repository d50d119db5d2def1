import CCurlShim
import Ports

/// One tenant's share of the transport: connections, idle handles and waiting transfers.
///
/// Handles are kept per pool because they hold TLS sessions. Used on the loop's thread only.
final class ConnectionPool {
    let number: Int64
    /// Waiting transfers by authority.
    var lanes: [String: Lane] = [:]
    /// Lanes whose host has room for another transfer.
    var ready = Fifo<Lane>()
    /// Whether this pool may take the places reserved for the operator.
    var usesReserve = false
    /// Whether this pool is in one of the queue's lists: the ring, the full pools or the parked ones.
    var isListed = false
    /// Transfers under way.
    var transferCount = 0 {
        didSet { if transferCount == 0 { idleSinceMS = millrace_monotonic_ms() } }
    }
    private(set) var idleSinceMS: Int64 = 0

    private var connections: OpaquePointer?
    private var connectionCountMax = 0
    private var idleExchanges: [UnsafeMutablePointer<millrace_exchange>] = []
    private var lastRules: (policy: EgressPolicy, rules: EgressRules)?

    init(number: Int64) { self.number = number }

    var isOpen: Bool { connections != nil }
    var isUnused: Bool { transferCount == 0 && lanes.isEmpty }

    /// Creates the multi handle; false if the system refuses.
    func open(in loop: OpaquePointer) -> Bool {
        connections = connections ?? millrace_pool_create(loop)
        connectionCountMax = 0
        return isOpen
    }

    /// Closes all connections; no transfer may be under way.
    func close() {
        for exchange in idleExchanges { millrace_exchange_destroy(exchange) }
        idleExchanges = []
        millrace_pool_destroy(connections)
        connections = nil
    }

    func start(_ exchange: UnsafeMutablePointer<millrace_exchange>) -> Bool {
        guard let connections else { return false }
        // libcurl's cache counts connections in use too; a limit below their number would prevent reuse.
        if transferCount + 8 > connectionCountMax {
            connectionCountMax = max(32, 2 * transferCount)
            millrace_pool_set_connections_max(connections, connectionCountMax)
        }
        return millrace_pool_add(connections, exchange) == 0
    }

    func remove(_ exchange: UnsafeMutablePointer<millrace_exchange>) {
        if let connections { millrace_pool_remove(connections, exchange) }
    }

    // MARK: - Handles and rules

    func takeExchange(_ make: () -> UnsafeMutablePointer<millrace_exchange>?)
        -> UnsafeMutablePointer<millrace_exchange>?
    {
        idleExchanges.popLast() ?? make()
    }

    func giveBack(_ exchange: UnsafeMutablePointer<millrace_exchange>) {
        millrace_exchange_clear(exchange)
        idleExchanges.append(exchange)
    }

    /// The compiled rules of a policy, compiled again only if the policy differs from the last one.
    ///
    /// The comparison is of two pointers if the caller keeps one policy per tenant.
    func rules(_ policy: EgressPolicy) throws(EgressRules.Refusal) -> EgressRules {
        if let lastRules, lastRules.policy == policy { return lastRules.rules }
        let rules = try EgressRules(policy)
        lastRules = (policy, rules)
        return rules
    }
}
