import Ports

/// The transfers of one pool to one host, in order.
final class Lane {
    let pool: ConnectionPool
    let host: Host
    /// Under way.
    var transferCount = 0
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
    var blockedCount = 0

    init(authority: String) { self.authority = authority }
}

/// Which transfer starts next, under the limits for all, for a pool and for a host.
///
/// Pools take turns, and within a pool its hosts do. A lane or pool that may not start stands in the list of what it waits
/// for, which is looked through when a place there becomes free. A class, because the loop closes pools, and so calls it,
/// while it is asked for the next transfer.
final class TransferQueue {
    private let options: CurlTransportOptions
    private var hosts: [String: Host] = [:]
    private var ring = Fifo<ConnectionPool>()
    /// Pools that have their share of all places.
    private var full = Fifo<ConnectionPool>()
    private var fullCount = 0
    private let shareOfAll: PlaceShare
    private let shareOfHost: PlaceShare
    /// Pools that wait for another to be closed.
    private var parked = Fifo<ConnectionPool>()
    /// Transfers under way.
    private(set) var transferCount = 0

    init(options: CurlTransportOptions) {
        self.options = options
        shareOfAll = PlaceShare(
            count: options.transferCountMax, factor: 2, countMaxOfPool: options.transferCountMaxPerPool)
        shareOfHost = PlaceShare(count: options.transferCountMaxPerHost, factor: 3)
    }

    /// Adds a transfer behind those of its pool to the same host.
    func append(_ transfer: Transfer, authority: String, pool: ConnectionPool) {
        let host = host(authority)
        let lane = pool.lanes[authority] ?? Lane(pool: pool, host: host)
        pool.lanes[authority] = lane
        transfer.pool = pool
        transfer.lane = lane
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

    /// Counts a transfer as over and lets those go on that waited for it.
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

    /// What a transfer that has not started waits for; nil for one that is about to start.
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

    /// Lists the lanes of a host that may go on.
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

    /// Forgets a lane of which nothing waits or is under way.
    private func drop(_ lane: Lane) {
        if lane.waiting.isEmpty, lane.transferCount == 0, !lane.isListed {
            lane.pool.lanes[lane.host.authority] = nil
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
