/// The transfers of one pool to one host, in order.
final class Lane {
    let pool: ConnectionPool
    let host: Host
    var waiting = Fifo<Transfer>()
    /// Whether it stands in its pool's or its host's list.
    var isListed = false

    init(pool: ConnectionPool, host: Host) {
        self.pool = pool
        self.host = host
    }
}

/// A host and port, over all pools.
final class Host {
    let authority: String
    var transferCount = 0
    /// Lanes that wait for one of its transfers to end.
    var blocked = Fifo<Lane>()

    init(authority: String) { self.authority = authority }
}

/// Which transfer starts next, under the limits for all, for a pool and for a host.
///
/// Pools take turns, and within a pool its hosts do; a lane that may not start stands in the list of
/// what it waits for, so nothing is looked at twice. All operations take constant time. A class, because
/// the loop closes pools, and so calls it, while it is asked for the next transfer.
final class TransferQueue {
    private let options: CurlTransportOptions
    private var hosts: [String: Host] = [:]
    private var ring = Fifo<ConnectionPool>()
    /// Pools that wait for another to be closed.
    private var parked = Fifo<ConnectionPool>()
    /// Transfers under way.
    private(set) var transferCount = 0

    init(options: CurlTransportOptions) { self.options = options }

    /// Adds a transfer behind those of its pool to the same host.
    func append(_ transfer: Transfer, authority: String, pool: ConnectionPool) {
        let host = host(authority)
        let lane = pool.lanes[authority] ?? Lane(pool: pool, host: host)
        pool.lanes[authority] = lane
        transfer.pool = pool
        transfer.host = host
        lane.waiting.append(transfer)
        list(lane)
    }

    /// Takes the next transfer that may start and counts it as under way.
    ///
    /// - Parameter open: Gives the pool its connections; false where it has to wait for those.
    /// - Returns: Nil where none may start.
    func next(open: (ConnectionPool) -> Bool) -> Transfer? {
        while transferCount < options.transferCountMax, let pool = ring.popFirst() {
            pool.isListed = false
            guard pool.transferCount < options.transferCountMaxPerPool else { continue }
            guard let lane = pool.ready.popFirst() else { continue }
            lane.isListed = false
            let transfer = take(from: lane, open: open)
            list(pool)
            if let transfer { return transfer }
        }
        return nil
    }

    /// Counts a transfer as over and lets those go on that waited for it.
    func remove(_ transfer: Transfer) {
        transferCount -= 1
        if let host = transfer.host {
            host.transferCount -= 1
            if let lane = host.blocked.popFirst() {
                lane.isListed = false
                list(lane)
            } else if host.transferCount == 0, hosts.count > 1024 {
                hosts[host.authority] = nil
            }
        }
        if let pool = transfer.pool {
            pool.transferCount -= 1
            list(pool)
            if pool.transferCount == 0 { unpark() }
        }
    }

    /// Lets one parked pool try again, because another has become idle or was closed.
    func unpark() {
        guard let pool = parked.popFirst() else { return }
        pool.isListed = false
        list(pool)
    }

    // MARK: - Lists

    private func take(from lane: Lane, open: (ConnectionPool) -> Bool) -> Transfer? {
        // What was withdrawn meanwhile has been completed already.
        while lane.waiting.first?.isOver == true { _ = lane.waiting.popFirst() }
        guard !lane.waiting.isEmpty else {
            lane.pool.lanes[lane.host.authority] = nil
            return nil
        }
        if lane.host.transferCount >= options.transferCountMaxPerHost {
            lane.isListed = true
            lane.host.blocked.append(lane)
            return nil
        }
        guard open(lane.pool) else {
            lane.isListed = true
            lane.pool.ready.append(lane)
            lane.pool.isListed = true
            parked.append(lane.pool)
            return nil
        }
        guard let transfer = lane.waiting.popFirst() else { return nil }
        transferCount += 1
        lane.host.transferCount += 1
        lane.pool.transferCount += 1
        if lane.waiting.isEmpty { lane.pool.lanes[lane.host.authority] = nil } else { list(lane) }
        return transfer
    }

    private func list(_ lane: Lane) {
        if !lane.isListed {
            lane.isListed = true
            lane.pool.ready.append(lane)
        }
        list(lane.pool)
    }

    private func list(_ pool: ConnectionPool) {
        guard !pool.isListed, !pool.ready.isEmpty, pool.transferCount < options.transferCountMaxPerPool else {
            return
        }
        pool.isListed = true
        ring.append(pool)
    }

    private func host(_ authority: String) -> Host {
        if let host = hosts[authority] { return host }
        let host = Host(authority: authority)
        hosts[authority] = host
        return host
    }
}
