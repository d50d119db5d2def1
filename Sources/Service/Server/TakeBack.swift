import Billing
import Ports
import Runtime
import Storage
import Values

/// Takes minutes back from a tenant: for the operator's workflows, and for the operator itself.
struct TakeBack {
    static let names: Set<String> = ["minutes", "ms", "reference", "reason"]

    let runtime: Runtime
    let call: Call

    /// - Throws: What is wrong with the body.
    func take(from tenant: TenantID) throws(Refusal) -> InboundResponse {
        let body = try call.object(Self.names.union(["tenant_id"]))
        guard tenant != .operatorTenant else {
            throw Refusal(422, "operator_tenant", "the operator has no balance: nothing can be taken back")
        }
        var fingerprinted = Array("take-back|\(tenant)|".utf8)
        JSON.write(.object(body), into: &fingerprinted)
        var debit = Credit(
            tenant: tenant, milliseconds: try Call.milliseconds(body),
            reference: try Call.required(try Call.text(body, "reference", byteCountMax: 255), "reference"),
            idempotencyKey: try call.request.idempotencyKey(),
            fingerprint: runtime.fingerprint(fingerprinted), at: runtime.clock.now())
        debit.takeBackReason = try Call.required(try Call.text(body, "reason", byteCountMax: 500), "reason")
        let outcome = try storing { () throws(StoreError) in try runtime.store.credit(debit) }
        if case .credited(let entry) = outcome {
            runtime.balanceTaken(by: entry)
            log(entry)
        }
        return Self.answer(to: outcome)
    }

    private func log(_ entry: LedgerEntry) {
        runtime.log.write(
            .info, "minutes.taken_back",
            [
                ("tenant", .string("\(entry.tenant)")), ("ms", .int(-entry.amountMilliseconds)),
                ("reference", .string(entry.reference ?? "")), ("key", .string("\(call.key.key)")),
            ])
    }

    private static func answer(to outcome: CreditOutcome) -> InboundResponse {
        func taken(_ entry: LedgerEntry, replayed: Bool) -> InboundResponse {
            Answer.json(
                replayed ? 200 : 201,
                [
                    "tenant_id": .string("\(entry.tenant)"), "taken_back_ms": .int(-entry.amountMilliseconds),
                    "balance_ms": .int(entry.balanceMilliseconds), "sequence": .int(entry.sequence),
                    "replayed": .bool(replayed),
                ])
        }
        switch outcome {
        case .credited(let entry): return taken(entry, replayed: false)
        case .replayed(let entry): return taken(entry, replayed: true)
        case .keyReused:
            return Answer.error(
                409, "idempotency_key_reused", "this Idempotency-Key came before with another body")
        case .referenceConflict:
            return Answer.error(
                409, "reference_conflict",
                "this reference stands for another entry: nothing was taken back; a reference of its own is needed, such as refund:<payment>"
            )
        case .amountOutOfRange:
            return Answer.error(
                422, "amount_out_of_range", "the balance would be less than a ledger can hold")
        case .purchaseMismatch, .purchaseSettled, .purchaseUnknown, .tenantUnknown:
            return Answer.error(404, "tenant_not_found", "there is no tenant of that id")
        }
    }
}
