package import Billing
package import Storage
package import Values

extension MemoryStore {
    package func account(of tenant: TenantID) throws(StoreError) -> Account {
        try read { tables throws(StoreError) in tables.account(of: tenant) }
    }

    package func ledger(of tenant: TenantID, before: Int64?, limit: Int) throws(StoreError) -> [LedgerEntry] {
        try read { tables throws(StoreError) in
            let entries = (tables.ledgers[tenant] ?? []).filter { $0.sequence < before ?? .max }
            return Array(entries.reversed().prefix(max(0, limit)))
        }
    }

    package func credit(_ credit: Credit) throws(StoreError) -> CreditOutcome {
        try write { tables throws(StoreError) in
            let key = credit.idempotencyKey.map { Array($0.utf8) }
            if let key, let known = tables.answers[key] {
                guard known.fingerprint == credit.fingerprint else { return .keyReused }
                if case .credited(let entry) = known.outcome { return .replayed(entry) }
                return known.outcome
            }
            let outcome = tables.decide(credit, sha256: sha256)
            if let key {
                tables.answers[key] = MemoryTables.Answer(fingerprint: credit.fingerprint, outcome: outcome)
            }
            return outcome
        }
    }

    package func ledgerDays(
        of tenant: TenantID, from: Instant, to: Instant
    ) throws(StoreError) -> [LedgerDay] {
        try read { tables throws(StoreError) in
            let entries = (tables.ledgers[tenant] ?? []).filter { $0.at >= from && $0.at < to }
            let days = Dictionary(grouping: entries) { $0.at.microseconds / LedgerDay.microseconds }
            return days.sorted { $0.key < $1.key }.map { day, entries in
                func sum(_ kind: LedgerEntry.Kind) -> Int64 {
                    abs(entries.filter { $0.kind == kind }.reduce(0) { $0 + $1.amountMilliseconds })
                }
                return LedgerDay(
                    day: day, creditedMilliseconds: sum(.credit), takenBackMilliseconds: sum(.takeBack),
                    usedMilliseconds: sum(.usage))
            }
        }
    }

    package func addPurchase(_ purchase: Purchase) throws(StoreError) {
        try write { tables throws(StoreError) in
            guard tables.purchases[purchase.purchase] == nil else {
                throw .exists(what: "purchase \(purchase.purchase)")
            }
            tables.purchases[purchase.purchase] = MemoryTables.PurchaseRow(
                purchase: purchase, isCredited: false)
        }
    }

    package func openPurchaseCount(of tenant: TenantID, since instant: Instant) throws(StoreError) -> Int {
        try read { tables throws(StoreError) in
            tables.purchases.values.count {
                $0.purchase.tenant == tenant && $0.purchase.state == .open && $0.purchase.createdAt >= instant
            }
        }
    }

    package func purchase(_ id: PurchaseID) throws(StoreError) -> Purchase? {
        try read { tables throws(StoreError) in tables.purchases[id]?.purchase }
    }

    package func verifyLedgers() throws(StoreError) -> LedgerVerification {
        try read { tables throws(StoreError) in tables.verify(sha256: sha256) }
    }
}

extension MemoryTables {
    fileprivate mutating func decide(_ credit: Credit, sha256: ([UInt8]) -> [UInt8]) -> CreditOutcome {
        guard (1...Account.amountMillisecondsMax).contains(credit.milliseconds) else {
            return .amountOutOfRange
        }
        guard tenants[credit.tenant] != nil else { return .tenantUnknown }
        let reference = Array(credit.reference.utf8)
        if let place = references[reference], let first = entry(at: place) {
            return credit.isMet(by: first) ? .replayed(first) : .referenceConflict
        }
        if let id = credit.purchase {
            guard let found = purchases[id] else { return .purchaseUnknown }
            if let refusal = refusal(of: credit, for: found) { return refusal }
        }
        var account = account(of: credit.tenant)
        do throws(LedgerError) {
            let entry = try credit.enter(into: &account, sha256: sha256)
            ledgers[credit.tenant, default: []].append(entry)
            if let depletion = Depletion(crossedBy: entry) { depletions.append((depletion, entry.at)) }
            references[reference] = LedgerPlace(tenant: credit.tenant, sequence: entry.sequence)
            if let purchase = credit.purchase {
                purchases[purchase]?.purchase.state = .credited
                purchases[purchase]?.isCredited = true
            }
            return .credited(entry)
        } catch { return .amountOutOfRange }
    }

    private func entry(at place: LedgerPlace) -> LedgerEntry? {
        ledgers[place.tenant]?.first { $0.sequence == place.sequence }
    }

    /// Why a payment does not settle a purchase, which is then parked; nil where it does.
    private mutating func refusal(of credit: Credit, for found: PurchaseRow) -> CreditOutcome? {
        let purchase = found.purchase
        let (milliseconds, overflows) = purchase.minutes.multipliedReportingOverflow(by: 60_000)
        let isMet =
            !overflows && purchase.tenant == credit.tenant && milliseconds == credit.milliseconds
            && (credit.paid.map { $0 == purchase.price } ?? true)
        if isMet, purchase.state == .open { return nil }
        var parked = purchase
        parked.state = .parked
        purchases[purchase.purchase]?.purchase = parked
        return found.isCredited ? .purchaseSettled(parked) : .purchaseMismatch(parked)
    }

    fileprivate func verify(sha256: ([UInt8]) -> [UInt8]) -> LedgerVerification {
        var result = LedgerVerification(
            tenantCount: 0, entryCount: 0, creditedMilliseconds: 0, usedMilliseconds: 0, findings: [])
        var charged = prunedCharges
        for row in journals.values.joined() where row.ledgerSequence > 0 {
            charged[LedgerPlace(tenant: row.tenant, sequence: row.ledgerSequence), default: 0] +=
                row.entry.chargeMilliseconds
        }
        for (tenant, entries) in ledgers.sorted(by: { $0.key < $1.key }) {
            var audit = LedgerAudit(tenant: tenant)
            result.tenantCount += 1
            for entry in entries {
                result.entryCount += 1
                do throws(LedgerAudit.Finding) { try audit.check(entry, sha256: sha256) } catch {
                    result.findings.append(error)
                    break
                }
                let place = LedgerPlace(tenant: tenant, sequence: entry.sequence)
                switch entry.kind {
                case .credit, .takeBack:
                    if entry.kind == .credit {
                        result.creditedMilliseconds += entry.amountMilliseconds
                    } else {
                        result.takenBackMilliseconds -= entry.amountMilliseconds
                    }
                    if references[Array((entry.reference ?? "").utf8)] != place {
                        result.find(place, "its reference is not recorded as used")
                    }
                case .usage:
                    result.usedMilliseconds -= entry.amountMilliseconds
                    let sum = charged.removeValue(forKey: place) ?? 0
                    if sum != -entry.amountMilliseconds {
                        result.find(place, "the journal entries that name it charged \(sum) ms")
                    }
                }
            }
        }
        for place in charged.keys { result.find(place, "journal entries name it, but it does not exist") }
        return result
    }
}

extension LedgerVerification {
    fileprivate mutating func find(_ place: MemoryTables.LedgerPlace, _ reason: String) {
        findings.append(LedgerAudit.Finding(tenant: place.tenant, sequence: place.sequence, reason: reason))
    }
}
