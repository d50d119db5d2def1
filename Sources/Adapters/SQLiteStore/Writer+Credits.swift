import Billing
import Storage
import Values

/// Credits, and the purchases that they settle.
extension Writer {
    private static let creditScope = "credit"

    /// Decides and applies a credit; see ``LedgerStore/credit(_:)``.
    ///
    /// The answer is stored with the idempotency key. So a refusal that depended on the state at that time
    /// does not become a credit when the request is repeated.
    func credit(_ credit: Credit) throws(StoreError) -> CreditOutcome {
        if let known = try answer(to: credit) { return known }
        let outcome = try decide(credit)
        try remember(outcome, for: credit)
        return outcome
    }

    private func decide(_ credit: Credit) throws(StoreError) -> CreditOutcome {
        guard (1...Account.amountMillisecondsMax).contains(credit.milliseconds) else {
            return .amountOutOfRange
        }
        guard try Rows.tenant(credit.tenant, connection) != nil else { return .tenantUnknown }
        if let first = try Rows.credit(reference: credit.reference, connection) {
            return credit.isMet(by: first) ? .replayed(first) : .referenceConflict
        }
        if let id = credit.purchase {
            guard let found = try Rows.purchase(id, connection) else { return .purchaseUnknown }
            if let refusal = try refusal(of: credit, for: found) { return refusal }
        }
        try closeUsage(of: credit.tenant)
        var account = try account(of: credit.tenant)
        let entry: LedgerEntry
        do throws(LedgerError) {
            entry = try credit.enter(into: &account, sha256: sha256)
        } catch { return .amountOutOfRange }
        try insert(entry)
        try noteDepletion(by: entry)
        try connection.run(
            "INSERT INTO credit_reference (reference, tenant_id, sequence) VALUES (?, ?, ?)",
            .text(credit.reference), .integer(entry.tenant.number), .integer(entry.sequence))
        if let purchase = credit.purchase {
            try connection.run(
                "UPDATE purchase SET state = 'credited', credited_reference = ? WHERE purchase_id = ?",
                .text(credit.reference), .integer(purchase.number))
        }
        group.accounts[credit.tenant] = account
        return .credited(entry)
    }

    /// Why a payment does not settle a purchase, which is then parked; nil if it does.
    private func refusal(
        of credit: Credit, for found: (purchase: Purchase, isCredited: Bool)
    ) throws(StoreError) -> CreditOutcome? {
        var purchase = found.purchase
        if !found.isCredited, purchase.state == .open, purchase.isMet(by: credit) { return nil }
        purchase.state = .parked
        try connection.run(
            "UPDATE purchase SET state = 'parked' WHERE purchase_id = ?", .integer(purchase.purchase.number))
        return found.isCredited ? .purchaseSettled(purchase) : .purchaseMismatch(purchase)
    }

    // MARK: - Idempotency

    /// The earlier answer to the credit's idempotency key; nil if there is no key or it is new.
    private func answer(to credit: Credit) throws(StoreError) -> CreditOutcome? {
        guard let key = credit.idempotencyKey else { return nil }
        let caller = TenantID.operatorTenant.number
        let stored = try connection.first(
            """
            SELECT fingerprint, answer, answer_tenant_id, answer_sequence, answer_purchase_id FROM idempotency
            WHERE tenant_id = ? AND scope = ? AND key = ?
            """, .integer(caller), .text(Self.creditScope), .text(key)
        ) { row throws(StoreError) in
            (
                fingerprint: row.blob(0), answer: row.text(1), tenant: row.integer(2),
                sequence: row.integer(3),
                purchase: row.integer(4)
            )
        }
        guard let stored else { return nil }
        guard stored.fingerprint == credit.fingerprint else { return .keyReused }
        switch CreditAnswer(rawValue: stored.answer) {
        case .entry:
            guard let entry = try Rows.ledgerEntry(stored.tenant, stored.sequence, connection) else { break }
            return .replayed(entry)
        case .purchaseMismatch, .purchaseSettled:
            guard let purchase = try Rows.purchase(Rows.purchaseID(stored.purchase), connection)?.purchase
            else { break }
            return stored.answer == CreditAnswer.purchaseSettled.rawValue
                ? .purchaseSettled(purchase) : .purchaseMismatch(purchase)
        case .referenceConflict: return .referenceConflict
        case .purchaseUnknown: return .purchaseUnknown
        case .tenantUnknown: return .tenantUnknown
        case .amountOutOfRange: return .amountOutOfRange
        case nil: break
        }
        throw Rows.damaged("idempotency", "the answer \(stored.answer) names nothing that exists")
    }

    private func remember(_ outcome: CreditOutcome, for credit: Credit) throws(StoreError) {
        guard let key = credit.idempotencyKey, let answer = CreditAnswer(outcome) else { return }
        var entry: LedgerEntry?
        var purchase: Purchase?
        switch outcome {
        case .credited(let written), .replayed(let written): entry = written
        case .purchaseMismatch(let parked), .purchaseSettled(let parked): purchase = parked
        default: break
        }
        try connection.run(
            """
            INSERT INTO idempotency (tenant_id, scope, key, fingerprint, answer, answer_tenant_id,
                answer_sequence, answer_purchase_id, stored_at_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            """, .integer(TenantID.operatorTenant.number), .text(Self.creditScope), .text(key),
            .blob(credit.fingerprint), .text(answer.rawValue), .optional(entry?.tenant.number),
            .optional(entry?.sequence), .optional(purchase?.purchase.number), .integer(credit.at.microseconds)
        )
    }
}

/// The stored form of an answer: stable tokens.
private enum CreditAnswer: String {
    case entry
    case referenceConflict = "reference_conflict"
    case purchaseMismatch = "purchase_mismatch"
    case purchaseSettled = "purchase_settled"
    case purchaseUnknown = "purchase_unknown"
    case tenantUnknown = "tenant_unknown"
    case amountOutOfRange = "amount_out_of_range"

    /// Nil for `keyReused`, the only answer that is not stored, because the key belongs to another request.
    init?(_ outcome: CreditOutcome) {
        switch outcome {
        case .credited, .replayed: self = .entry
        case .keyReused: return nil
        case .referenceConflict: self = .referenceConflict
        case .purchaseMismatch: self = .purchaseMismatch
        case .purchaseSettled: self = .purchaseSettled
        case .purchaseUnknown: self = .purchaseUnknown
        case .tenantUnknown: self = .tenantUnknown
        case .amountOutOfRange: self = .amountOutOfRange
        }
    }
}

extension Purchase {
    /// Whether a payment matches the purchase.
    func isMet(by credit: Credit) -> Bool {
        let (milliseconds, overflows) = minutes.multipliedReportingOverflow(by: 60_000)
        guard !overflows, tenant == credit.tenant, milliseconds == credit.milliseconds else { return false }
        guard let paid = credit.paid else { return true }
        return paid.amountMinor == price.amountMinor && paid.currency.utf8.elementsEqual(price.currency.utf8)
    }
}
