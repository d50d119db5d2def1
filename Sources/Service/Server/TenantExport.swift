import Billing
import Ports
import Runtime
import Storage
import Values

/// All that is kept of a tenant, page by page, each item an object with its `type`; values of secrets are not among it.
///
/// A page's cursor names the section and the place in it where the next one begins.
struct TenantExport {
    private enum Section: String, CaseIterable {
        case tenant, keys, secrets, workflows, ledger, runs

        var next: Section? {
            Self.allCases.firstIndex(of: self).flatMap { index in
                index + 1 < Self.allCases.count ? Self.allCases[index + 1] : nil
            }
        }
    }

    /// The items of a page, and where in its section the next begins; nil at the section's end.
    private typealias Page = (items: [Value], next: String?)

    private static let byteCountMax = 2 << 20
    private static let itemCountMax = 200

    let store: any Store
    let tenant: Tenant

    func page(_ cursor: String?) throws(Refusal) -> InboundResponse {
        let parts = (cursor ?? "tenant:").split(
            separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let section = Section(rawValue: String(parts[0])) else {
            throw Refusal(400, "cursor_malformed", "cursor is what the page before gave as next")
        }
        let page = try storing { () throws(StoreError) in try self.page(section, String(parts[1])) }
        let next = page.next.map { "\(section.rawValue):\($0)" } ?? section.next.map { "\($0.rawValue):" }
        return Answer.list(page.items, next: next)
    }

    private func page(_ section: Section, _ place: String) throws(StoreError) -> Page {
        let id = tenant.tenant
        switch section {
        case .tenant: return ([try value()], nil)
        case .keys: return (try store.keys(of: id).map(Self.value), nil)
        case .secrets: return (try store.secrets(of: id).map(Self.value), nil)
        case .workflows: return try workflows(place)
        case .ledger:
            let found = try store.ledger(of: id, before: Int64(place), limit: Self.itemCountMax)
            let isWhole = found.count < Self.itemCountMax
            return (found.map(Self.value), isWhole ? nil : found.last.map { "\($0.sequence)" })
        case .runs: return try runs(place)
        }
    }

    private func value() throws(StoreError) -> Value {
        [
            "type": "tenant", "tenant_id": .string("\(tenant.tenant)"), "name": .string(tenant.name),
            "external_customer_id": tenant.externalCustomerID.map { .string($0) } ?? .null,
            "created_at": .string(tenant.createdAt.text),
            "balance_ms": .int(try store.account(of: tenant.tenant).balanceMilliseconds),
        ]
    }

    private static func value(of key: APIKey) -> Value {
        [
            "type": "key", "key_id": .string("\(key.key)"), "scope": .string(key.scope.rawValue),
            "created_at": .string(key.createdAt.text),
            "revoked_at": key.revokedAt.map { .string($0.text) } ?? .null,
        ]
    }

    private static func value(of secret: SealedSecret) -> Value {
        [
            "type": "secret", "name": .string(secret.name),
            "hosts": .array(secret.hosts.map { .string($0) }), "updated_at": .string(secret.updatedAt.text),
        ]
    }

    private static func value(of entry: LedgerEntry) -> Value {
        var object = BillingCalls.value(of: entry).object ?? Object()
        object["type"] = "ledger_entry"
        return .object(object)
    }

    /// Few at once: a source may have a megabyte.
    private func workflows(_ place: String) throws(StoreError) -> Page {
        let limit = 4
        let found = try store.allVersions(of: tenant.tenant, after: Self.version(place), limit: limit)
        let items: [Value] = found.map { version in
            [
                "type": "workflow", "name": .string(version.name), "number": .int(version.number),
                "digest": .string(Hex.encode(version.digest)),
                "deployed_at": .string(version.deployedAt.text),
                "source": .string(String(decoding: version.source, as: UTF8.self)),
            ]
        }
        return (items, found.count < limit ? nil : found.last.map { "\($0.number):\($0.name)" })
    }

    private static func version(_ place: String) -> (name: String, number: Int64)? {
        let parts = place.split(separator: ":", maxSplits: 1)
        guard parts.count == 2, let number = Int64(parts[0]) else { return nil }
        return (String(parts[1]), number)
    }

    /// Runs, the newest first, each followed by its events; a place is a run and the last of its events.
    private func runs(_ place: String) throws(StoreError) -> Page {
        let parts = place.split(separator: ":")
        var run = parts.first.flatMap { RunID(String($0)) }
        var sequence = parts.count == 2 ? Int64(parts[1]) : nil
        var items: [Value] = []
        var byteCount = 0
        while items.count < Self.itemCountMax, byteCount < Self.byteCountMax {
            if let last = sequence, let current = run {
                let page = try store.entries(
                    of: current, after: last, limit: Self.itemCountMax,
                    byteCountMax: Self.byteCountMax - byteCount)
                for entry in page.entries {
                    byteCount += entry.byteCount
                    items.append(Self.value(of: entry, current))
                }
                if page.isFull { return (items, "\(current):\(page.entries.last?.sequence ?? last)") }
            }
            let query = RunQuery(before: run, limit: 1)
            guard let next = try store.runs(of: tenant.tenant, query).first else { return (items, nil) }
            var object = RunCalls.summary(next, isQueued: false)
            object["type"] = "run"
            object["digest"] = .string(Hex.encode(next.digest))
            items.append(.object(object))
            (run, sequence) = (next.run, 0)
        }
        return (items, run.map { "\($0):\(sequence ?? 0)" })
    }

    private static func value(of entry: StoredEntry, _ run: RunID) -> Value {
        var object = RunCalls.event(entry).object ?? Object()
        object["type"] = "event"
        object["run_id"] = .string("\(run)")
        return .object(object)
    }
}
