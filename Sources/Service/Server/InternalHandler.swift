import Billing
package import Ports
package import Runtime
import Storage
import Values

/// Answers what the internal address serves: the calls by which the operator's workflows write their
/// results.
///
/// Tenants' steps cannot reach the address, and a tenant's key opens nothing here (S13).
package struct InternalHandler: InboundHandler {
    let runtime: Runtime
    let keys: KeyRing

    package init(runtime: Runtime, keys: KeyRing) {
        self.runtime = runtime
        self.keys = keys
    }

    package func handle(_ request: InboundRequest, respond: @escaping @Sendable (InboundResponse) -> Void) {
        let path = request.segments
        if path.count == 1, ["healthz", "readyz", "metrics"].contains(path[0]) {
            return respond(HealthPages(runtime: runtime).answer(request))
        }
        do throws(Refusal) {
            guard path.count == 4, path[0] == "api", path[1] == "internal" else {
                throw Refusal(Answer.notFound)
            }
            let call = try Call(request, keys: keys, store: runtime.store, respond: respond)
            guard call.tenant.tenant == .operatorTenant else {
                throw Refusal(403, "operator_only", "only the operator's workflows may do this")
            }
            guard request.method == "POST" else { throw Refusal(Answer.methodNotAllowed("POST")) }
            switch (path[2], path[3]) {
            case ("billing", "credit"): respond(try credit(call))
            case ("billing", "take-back"):
                let tenant = try tenantID(try call.object(TakeBack.names.union(["tenant_id"])))
                respond(try TakeBack(runtime: runtime, call: call).take(from: tenant))
            case ("tenant", "set-external-customer"): respond(try setExternalCustomer(call))
            default: throw Refusal(Answer.notFound)
            }
        } catch {
            respond(error.response)
        }
    }

    private func setExternalCustomer(_ call: Call) throws(Refusal) -> InboundResponse {
        let body = try call.object(["tenant_id", "external_customer_id"])
        let tenant = try tenantID(body)
        let customer = try Call.required(
            try Call.text(body, "external_customer_id", byteCountMax: 200), "external_customer_id")
        try storing { () throws(StoreError) in try runtime.store.setExternalCustomer(customer, of: tenant) }
        runtime.forgetTenant(tenant)
        return Answer.noContent
    }

    private func tenantID(_ body: Object) throws(Refusal) -> TenantID {
        let text = try Call.required(try Call.text(body, "tenant_id", byteCountMax: 100), "tenant_id")
        guard let tenant = TenantID(text),
            try storing({ () throws(StoreError) in try runtime.tenant(tenant) }) != nil
        else {
            throw Refusal(404, "tenant_not_found", "there is no tenant of that id")
        }
        return tenant
    }

    private func credit(_ call: Call) throws(Refusal) -> InboundResponse {
        let body = try call.object(["tenant_id", "minutes", "ms", "reference", "purchase_id", "paid"])
        let key = try call.request.idempotencyKey()
        let (purchase, paid) = (try purchaseID(body), try paid(body))
        // What was paid can only be compared with a purchase: unchecked, it would be taken for checked.
        guard purchase != nil || paid == nil else {
            throw Refusal(422, "purchase_missing", "paid is compared with a purchase: name its purchase_id")
        }
        var fingerprinted = Array("credit|".utf8)
        JSON.write(.object(body), into: &fingerprinted)
        let credit = Credit(
            tenant: try tenantID(body), milliseconds: try Call.milliseconds(body),
            reference: try Call.required(try Call.text(body, "reference", byteCountMax: 255), "reference"),
            purchase: purchase, paid: paid, idempotencyKey: key,
            fingerprint: runtime.fingerprint(fingerprinted), at: runtime.clock.now())
        let outcome = try storing { () throws(StoreError) in try runtime.store.credit(credit) }
        if case .credited = outcome { runtime.balanceChanged(of: credit.tenant) }
        return answer(to: outcome, credit)
    }

    private func purchaseID(_ body: Object) throws(Refusal) -> PurchaseID? {
        guard let text = try Call.text(body, "purchase_id", byteCountMax: 100) else { return nil }
        guard let id = PurchaseID(text) else {
            throw Refusal(404, "purchase_not_found", "there is no purchase of that id")
        }
        return id
    }

    private func paid(_ body: Object) throws(Refusal) -> Credit.Paid? {
        guard let paid = body["paid"], !paid.isNull else { return nil }
        guard let amount = paid["amount_minor"]?.int, amount >= 0, let currency = paid["currency"]?.string,
            currency.utf8.count == 3, paid.object?.count == 2
        else {
            throw Refusal(
                422, "paid_unfit",
                "paid holds amount_minor, a whole number, and currency, three letters, and nothing else")
        }
        return Credit.Paid(amountMinor: amount, currency: currency.uppercased())
    }

    private func answer(to outcome: CreditOutcome, _ credit: Credit) -> InboundResponse {
        func credited(_ entry: LedgerEntry, replayed: Bool) -> InboundResponse {
            Answer.json(
                replayed ? 200 : 201,
                [
                    "tenant_id": .string("\(entry.tenant)"), "credited_ms": .int(entry.amountMilliseconds),
                    "balance_ms": .int(entry.balanceMilliseconds), "sequence": .int(entry.sequence),
                    "replayed": .bool(replayed),
                ])
        }
        switch outcome {
        case .credited(let entry): return credited(entry, replayed: false)
        case .replayed(let entry): return credited(entry, replayed: true)
        case .keyReused:
            return Answer.error(
                409, "idempotency_key_reused", "this Idempotency-Key came before with another body")
        case .referenceConflict:
            return Answer.error(
                409, "reference_conflict",
                "this reference has credited another tenant or another amount: nothing was credited")
        case .purchaseMismatch(let purchase):
            return parked(
                purchase, credit, "purchase_mismatch",
                "amount, currency, minutes or tenant are not what was asked for: the purchase is parked for a person"
            )
        case .purchaseSettled(let purchase):
            return parked(
                purchase, credit, "purchase_settled",
                "the purchase has been credited under another reference: it is parked for a person")
        case .purchaseUnknown:
            return Answer.error(404, "purchase_not_found", "there is no purchase of that id")
        case .tenantUnknown: return Answer.error(404, "tenant_not_found", "there is no tenant of that id")
        case .amountOutOfRange:
            return Answer.error(
                422, "amount_out_of_range", "the balance would be more than a ledger can hold")
        }
    }

    private func parked(
        _ purchase: Purchase, _ credit: Credit, _ code: String, _ message: String
    ) -> InboundResponse {
        runtime.metrics.add("purchases_parked_total", "reason=\"\(code)\"")
        runtime.log.write(
            .error, "purchase.parked",
            [
                ("purchase", .string("\(purchase.purchase)")), ("reason", .string(code)),
                ("reference", .string(credit.reference)),
            ])
        return Answer.error(
            409, code, message,
            details: [
                "purchase_id": .string("\(purchase.purchase)"), "expected_minutes": .int(purchase.minutes),
                "expected_amount_minor": .int(purchase.price.amountMinor),
                "expected_currency": .string(purchase.price.currency),
            ])
    }
}
