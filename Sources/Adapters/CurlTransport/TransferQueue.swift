import Ports

/// The transfers of one pool to one host, in order.
final class Lane {
    let pool: ConnectionPool
    let host: Host
    /// Transfers in flight.
    var transferCount = 0
    var waiting = Fifo<Transfer>()
    /// Whether this lane is in its pool's or its host's list.
    var isListed = false

    init(pool: ConnectionPool, host: Host) {
        self.pool = pool
        self.host = host
    }
}

/// A host and port, across all pools.
final class Host {
    let authority: String
    var transferCount = 0
    /// Lanes that wait for a transfer to this host to end.
    var blocked = Fifo<Lane>()
    var blockedCount = 0

    init(authority: String) { self.authority = authority }
}

/// Chooses the next transfer to start, within the limits in total, per pool and per host.
///
/// Pools take turns, and so do the hosts within a pool. A lane or pool that may not start is in the list of
/// what it waits for; that list is examined when a place becomes free. A class, because the loop closes
/// pools, and so calls back, while it asks for the next transfer.
final class TransferQueue {
    private let options: CurlTransportOptions
    private var hosts: [String: Host] = [:]
    private var ring = Fifo<ConnectionPool>()
    /// Pools that have used up their share of all places.
    private var full = Fifo<ConnectionPool>()
    private var fullCount = 0
    private let shareOfAll: PlaceShare
    private let shareOfHost: PlaceShare
    /// Pools that wait until another one is closed.
    private var parked = Fifo<ConnectionPool>()
    /// Transfers in flight.
    private(set) var transferCount = 0

    init(options: CurlTransportOptions) {
        self.options = options
        shareOfAll = PlaceShare(
            count: options.transferCountMax, factor: 2, countMaxOfPool: options.transferCountMaxPerPool)
        shareOfHost = PlaceShare(count: options.transferCountMaxPerHost, factor: 3)
    }

    /// Appends a transfer to its pool's lane for the same host.
    func append(_ transfer: Transfer, authority: String, pool: ConnectionPool) {
        let host = host(authority)
        let lane = pool.lanes[authority] ?? Lane(pool: pool, host: host)
        pool.lanes[authority] = lane
        transfer.pool = pool
        transfer.lane = lane
        lane.waiting.append(transfer)
        list(lane)
    }

    /// Takes the next transfer that may start and counts it as in flight.
    ///
    /// - Parameter open: Opens the pool's connections; returns false if the pool has to wait for them.
    /// - Returns: Nil if no transfer may start.
    func next(open: (ConnectionPool) -> Bool) -> Transfer? {
        while transferCount < options.transferCountMax, let pool = ring.popFirst() {
            pool.isListed = false
            guard mayTake(pool) else {
                list(pool)
                continue
            }
            guard let lane = pool.ready.popFirst() else { continue }
            lane.isListed = false
            let transfer = take(from: lane, open: open)
            list(pool)
            if let transfer { return transfer }
        }
        return nil
    }

    /// Counts a started transfer as over and lists what waited for its place.
    func remove(_ transfer: Transfer) {
        transferCount -= 1
        if let lane = transfer.lane {
            lane.transferCount -= 1
            lane.host.transferCount -= 1
            drop(lane)
            unblock(lane.host)
        }
        if let pool = transfer.pool {
            pool.transferCount -= 1
            list(pool)
            if pool.transferCount == 0 { unpark() }
        }
        for _ in 0..<fullCount {
            guard let pool = full.popFirst() else { break }
            fullCount -= 1
            pool.isListed = false
            list(pool)
        }
    }

    /// The limit that an unstarted transfer waits for; nil if it is about to start.
    func reason(of transfer: Transfer) -> PlaceWait.Limit? {
        guard let lane = transfer.lane else { return nil }
        if !mayTake(lane) {
            let isFull = lane.host.transferCount >= options.transferCountMaxPerHost
            return isFull
                ? .host(options.transferCountMaxPerHost) : .shareOfHost(options.transferCountMaxPerHost)
        }
        if transferCount >= options.transferCountMax { return .all(options.transferCountMax) }
        return mayTake(lane.pool) ? nil : .shareOfAll(options.transferCountMax)
    }

    private func mayTake(_ pool: ConnectionPool) -> Bool {
        shareOfAll.admits(own: pool.transferCount, used: transferCount, usesReserve: pool.usesReserve)
    }

    private func mayTake(_ lane: Lane) -> Bool {
        shareOfHost.admits(
            own: lane.transferCount, used: lane.host.transferCount, usesReserve: lane.pool.usesReserve)
    }

    /// Lists the lanes of a host that may start again.
    private func unblock(_ host: Host) {
        for _ in 0..<host.blockedCount {
            guard let lane = host.blocked.popFirst() else { break }
            if mayTake(lane) {
                host.blockedCount -= 1
                lane.isListed = false
                list(lane)
            } else {
                host.blocked.append(lane)
            }
        }
        if host.transferCount == 0, host.blockedCount == 0, hosts.count > 1024 { hosts[host.authority] = nil }
    }

    /// Drops a lane that has no transfer waiting or in flight.
    private func drop(_ lane: Lane) {
        if lane.waiting.isEmpty, lane.transferCount == 0, !lane.isListed {
            lane.pool.lanes[lane.host.authority] = nil
        }
    }

    /// Lets one parked pool try again after another has become idle or was closed.
    func unpark() {
        guard let pool = parked.popFirst() else { return }
        pool.isListed = false
        list(pool)
    }

    // MARK: - Lists

    private func take(from lane: Lane, open: (ConnectionPool) -> Bool) -> Transfer? {
        // Withdrawn transfers are completed already.
        while lane.waiting.first?.isOver == true { _ = lane.waiting.popFirst() }
        guard !lane.waiting.isEmpty else {
            drop(lane)
            return nil
        }
        guard mayTake(lane) else {
            lane.isListed = true
            lane.host.blocked.append(lane)
            lane.host.blockedCount += 1
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
        lane.transferCount += 1
        lane.host.transferCount += 1
        lane.pool.transferCount += 1
        if !lane.waiting.isEmpty { list(lane) }
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
        guard !pool.isListed, !pool.ready.isEmpty else { return }
        pool.isListed = true
        if mayTake(pool) || transferCount >= options.transferCountMax {
            ring.append(pool)
        } else {
            full.append(pool)
            fullCount += 1
        }
    }

    private func host(_ authority: String) -> Host {
        if let host = hosts[authority] { return host }
        let host = Host(authority: authority)
        hosts[authority] = host
        return host
    }
}
