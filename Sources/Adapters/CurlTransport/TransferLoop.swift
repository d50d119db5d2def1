import CCurlShim
import Ports
import Values

/// The transport's event loop; everything in it is used by its own thread only.
final class TransferLoop {
    let options: CurlTransportOptions
    private let clock: @Sendable () -> Instant
    private let inbox: Inbox
    private let handle: LoopHandle
    private let loop: OpaquePointer
    let silenceMaxS: Int

    private let queue: TransferQueue
    private var pools: [Int64: ConnectionPool] = [:]
    private var openPoolCount = 0
    private var nextSweepMS: Int64 = 0
    /// Transfers in flight, by the slot number in their exchange.
    private var active: [Transfer?] = []
    private var freeSlots: [UInt32] = []
    /// Transfers that wait, by id, so that they can be withdrawn.
    private var waiting: [UInt64: Transfer] = [:]
    /// Messages from completions, handled after they have returned.
    private var ownMessages: [Message] = []
    private var batch: [Message] = []
    private var isStopping = false
    /// Counts rounds of starting; a transfer that starts in a later round than it was accepted in has waited.
    private var turn: UInt64 = 0

    init(
        options: CurlTransportOptions, clock: @escaping @Sendable () -> Instant, inbox: Inbox,
        handle: LoopHandle
    ) {
        self.options = options
        self.clock = clock
        self.inbox = inbox
        self.handle = handle
        loop = handle.pointer
        silenceMaxS = Int(clamping: max(1, (options.silenceTimeMax.milliseconds + 999) / 1000))
        queue = TransferQueue(options: options)
    }

    /// Posts a message from the loop's own thread.
    func post(_ message: Message) { ownMessages.append(message) }

    func run() {
        while !isStopping {
            let isClosed = inbox.take(into: &batch)
            for message in batch { handle(message) }
            batch.removeAll(keepingCapacity: true)
            if isClosed { isStopping = true }
            settle()
            if isStopping { break }
            _ = millrace_loop_turn(loop, inbox.maySleep() ? sweepDelayMS() : 0)
            finishTransfers()
            settle()
            sweep()
        }
        cancelAll()
    }

    // MARK: - Messages

    private func handle(_ message: Message) {
        switch message {
        case .send(let transfer): accept(transfer)
        case .cancel(let id): cancel(id)
        case .perform(let action): action()
        }
    }

    /// Handles the messages of completions and starts transfers until neither leaves any work.
    private func settle() {
        repeat {
            while !ownMessages.isEmpty {
                var messages: [Message] = []
                swap(&messages, &ownMessages)
                for message in messages { handle(message) }
            }
            startTransfers()
        } while !ownMessages.isEmpty
    }

    private func accept(_ transfer: Transfer) {
        if isStopping { return transfer.complete(.failure(.cancelled), at: clock()) }
        do {
            let check = try transfer.check.get()
            let pool = pool(transfer.request.egress.pool)
            transfer.rules = try pool.rules(transfer.request.egress)
            transfer.turn = turn
            transfer.acceptedAt = clock()
            pool.usesReserve = transfer.request.egress.usesReserve
            queue.append(transfer, authority: check.authority, pool: pool)
            waiting[transfer.id] = transfer
        } catch let refusal as RequestCheck.Refusal {
            transfer.complete(.failure(.invalidRequest(reason: refusal.reason)), at: clock())
        } catch let refusal as EgressRules.Refusal {
            transfer.complete(.failure(.invalidRequest(reason: refusal.reason)), at: clock())
        } catch {
            transfer.complete(.failure(.invalidRequest(reason: "unknown")), at: clock())
        }
    }

    /// What each unstarted transfer of a run waits for.
    func placeWaits(ofRun run: Int64) -> [PlaceWait] {
        waiting.values.compactMap { transfer in
            guard let tag = transfer.request.tag, tag.run == run, let host = transfer.lane?.host.authority,
                let since = transfer.acceptedAt, let limit = queue.reason(of: transfer)
            else { return nil }
            // The authority of an https URL ends in "/s"; see RequestCheck.
            let name = host.split(separator: "/").first.map(String.init) ?? host
            return PlaceWait(step: tag.step, host: name, limit: limit, since: since)
        }
    }

    private func cancel(_ id: UInt64) {
        if let transfer = waiting.removeValue(forKey: id) {
            transfer.complete(.failure(.cancelled), at: clock())
        } else if let slot = active.firstIndex(where: { $0?.id == id }), let transfer = active[slot] {
            abandon(transfer)
        }
    }

    private func abandon(_ transfer: Transfer) {
        if let exchange = transfer.exchange { transfer.pool?.remove(exchange) }
        release(transfer)
        transfer.complete(.failure(.cancelled), at: clock())
    }

    // MARK: - Starting

    private func startTransfers() {
        defer { turn += 1 }
        while let transfer = queue.next(open: { self.open($0) }) {
            waiting[transfer.id] = nil
            if !mayStart(transfer) {
                release(transfer)
                transfer.complete(.failure(.cancelled), at: clock())
            } else if !start(transfer) {
                release(transfer)
                transfer.complete(.failure(.invalidRequest(reason: "curl cannot take it")), at: clock())
            }
        }
    }

    private func mayStart(_ transfer: Transfer) -> Bool {
        guard transfer.turn != turn, let gate = transfer.request.gate else { return true }
        return gate.mayStart(timeout: transfer.request.timeout, at: clock())
    }

    private func start(_ transfer: Transfer) -> Bool {
        guard let pool = transfer.pool, case .success(let check) = transfer.check,
            let exchange = pool.takeExchange({ self.makeExchange() })
        else { return false }
        transfer.exchange = exchange
        exchange.pointee.slot = occupy(transfer)
        guard fill(exchange, with: transfer, check: check) else {
            return false
        }
        transfer.startedAt = clock()
        return pool.start(exchange)
    }

    private func makeExchange() -> Exchange? {
        millrace_exchange_create(
            loop, Int(clamping: max(1, options.connectTimeout.milliseconds)),
            max(0, options.headerByteCountMax), max(0, options.headerCountMax))
    }

    private func occupy(_ transfer: Transfer) -> UInt32 {
        if let slot = freeSlots.popLast() {
            active[Int(slot)] = transfer
            return slot
        }
        active.append(transfer)
        return UInt32(active.count - 1)
    }

    // MARK: - Finishing

    private func finishTransfers() {
        var result = millrace_result()
        while millrace_loop_next_result(loop, &result) {
            guard let exchange = result.exchange, let transfer = active[Int(exchange.pointee.slot)] else {
                continue
            }
            let outcome = Self.outcome(
                of: result, exchange: exchange.pointee, timeout: transfer.request.timeout)
            release(transfer)
            transfer.complete(outcome, at: clock())
        }
    }

    /// Releases what a transfer holds; libcurl must no longer own its exchange.
    private func release(_ transfer: Transfer) {
        queue.remove(transfer)
        guard let exchange = transfer.exchange else { return }
        active[Int(exchange.pointee.slot)] = nil
        freeSlots.append(exchange.pointee.slot)
        transfer.pool?.giveBack(exchange)
        transfer.exchange = nil
    }

    private func cancelAll() {
        for transfer in waiting.values { transfer.complete(.failure(.cancelled), at: clock()) }
        waiting = [:]
        for case let transfer? in active { abandon(transfer) }
        // Completions may have sent more; because `isStopping` is set, each is completed at once.
        while !ownMessages.isEmpty {
            var messages: [Message] = []
            swap(&messages, &ownMessages)
            for message in messages { handle(message) }
        }
        for pool in pools.values { pool.close() }
        pools = [:]
    }

    // MARK: - Pools

    private func pool(_ number: Int64) -> ConnectionPool {
        if let pool = pools[number] { return pool }
        let pool = ConnectionPool(number: number)
        pools[number] = pool
        return pool
    }

    /// Opens a pool; at the limit it first closes the pool that has been idle longest.
    ///
    /// False if no pool is idle, or the system refuses.
    private func open(_ pool: ConnectionPool) -> Bool {
        if pool.isOpen { return true }
        if openPoolCount >= max(1, options.poolCountMax) {
            let idle = pools.values.filter { $0.isOpen && $0.transferCount == 0 }
            guard let oldest = idle.min(by: { $0.idleSinceMS < $1.idleSinceMS }) else { return false }
            close(oldest)
        }
        guard pool.open(in: loop) else { return false }
        openPoolCount += 1
        return true
    }

    private func close(_ pool: ConnectionPool) {
        pool.close()
        openPoolCount -= 1
        if pool.isUnused { pools[pool.number] = nil }
        queue.unpark()
    }

    /// How long the loop may sleep before the next look for idle pools, in milliseconds; -1 for any time.
    private func sweepDelayMS() -> Int32 {
        guard openPoolCount > 0 else { return -1 }
        return Int32(clamping: max(1, nextSweepMS - millrace_monotonic_ms()))
    }

    private func sweep() {
        guard openPoolCount > 0 else { return }
        let now = millrace_monotonic_ms()
        guard now >= nextSweepMS else { return }
        let idleMS = max(1, options.poolIdleTime.milliseconds)
        nextSweepMS = now + max(1, idleMS / 4)
        for pool in Array(pools.values) where pool.isUnused {
            if !pool.isOpen {
                pools[pool.number] = nil
            } else if now - pool.idleSinceMS >= idleMS {
                close(pool)
            }
        }
    }
}
