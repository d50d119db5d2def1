import Engine
import Ports
import Storage
import Values
import Workflow

// Ends of runs that start others. The commit that ends a run posts mail to each workflow that listens, and the commit
// that starts that workflow's run takes it: no end is missed, and none is answered twice.

/// What this process knows of mail that nobody has acted upon.
struct MailRoom {
    /// Mail that is being acted upon, or has been and is to be dropped.
    var inHand: Set<MailPlace> = []
    /// Mail that needs no action any more: one transaction drops what has come together.
    var toDrop: [MailPlace] = []
    /// Tenants that can start nothing just now, until then.
    var blocked: [TenantID: Instant] = [:]
    /// Whether the store is to be asked again for what could not be acted upon.
    var isSweepScheduled = false
}

extension Runtime {
    /// Between two looks at mail that could not be acted upon.
    private static let mailPause = Duration.seconds(5)
    /// Mail that is read at once.
    private static let mailPageSize = 100
    /// How long mail to be dropped is gathered.
    private static let dropPause = Duration.milliseconds(200)

    /// The mail that the end of a run posts: to each workflow that listens to it.
    ///
    /// Also called without the lock.
    func mail(ofEndOf slot: RunSlot, at: Instant) -> [Mail] {
        guard let outcome = slot.machine.state.outcome else { return [] }
        let workflow = slot.machine.plan.definition.name
        let listeners = catalog.listeners(
            toEndsOf: workflow, outcome.status.rawValue, of: slot.tenant)
        guard !listeners.isEmpty else { return [] }
        guard (slot.machine.state.start?.cause?.depth ?? 0) < RunEnd.depthMax else {
            metrics.add("run_ends_dropped_total", "reason=\"too_deep\"")
            log.write(
                .warning, "run_end.too_deep",
                [
                    ("run", .string("\(slot.run)")),
                    ("reason", .string("\(RunEnd.depthMax) ends led to it, one after the other")),
                ])
            return []
        }
        return RunEnd.mail(of: slot.machine, to: listeners, of: slot.tenant, at: at)
    }

    /// Acts upon mail that was just stored, on the clock's thread: this one may be the store's.
    func actions(upon mail: [Mail]) -> [Action] {
        guard !mail.isEmpty else { return [] }
        return [{ [self] in clock.schedule(after: .zero) { [self] in for one in mail { act(upon: one) } } }]
    }

    /// Acts upon all mail that is there.
    func sweepMail(after place: MailPlace? = nil) {
        guard lock.withLock({ !isStopping && fatal == nil }) else { return }
        do throws(StoreError) {
            let page = try store.pendingMail(after: place, limit: Self.mailPageSize)
            for one in page {
                act(upon: one)
                guard isBlocked(one.place.tenant) else { continue }
                // The rest of its mail waits as well; keys begin with a letter.
                let next = MailPlace(tenant: one.place.tenant, key: "~")
                clock.schedule(after: .zero) { [self] in sweepMail(after: next) }
                return
            }
            guard page.count == Self.mailPageSize, let last = page.last else { return }
            clock.schedule(after: .zero) { [self] in sweepMail(after: last.place) }
        } catch {
            log.write(.warning, "mail.not_read", [("error", .string(error.label))])
            sweepMailLater()
        }
    }

    func sweepMailLater() {
        let isFirst = lock.withLock {
            defer { mailRoom.isSweepScheduled = true }
            return !mailRoom.isSweepScheduled && !isStopping
        }
        guard isFirst else { return }
        clock.schedule(after: Self.mailPause) { [self] in
            lock.withLock { mailRoom.isSweepScheduled = false }
            sweepMail()
        }
    }

    private func isBlocked(_ tenant: TenantID) -> Bool {
        lock.withLock {
            guard let until = mailRoom.blocked[tenant] else { return false }
            if until > clock.steady() { return true }
            mailRoom.blocked[tenant] = nil
            return false
        }
    }

    private func act(upon mail: Mail) {
        guard !isBlocked(mail.place.tenant) else { return sweepMailLater() }
        guard lock.withLock({ !isStopping && mailRoom.inHand.insert(mail.place).inserted }) else { return }
        // Its expressions have taken too much time already.
        guard allowance.admits(mail.place.tenant) else { return putBack(mail.place) }
        let begun = allowance.reading()
        defer { allowance.charge(mail.place.tenant, since: begun) }
        do throws(StoreError) {
            guard let request = try request(for: mail) else { return drop(mail.place) }
            start(request) { [self] in settle(mail.place, request, $0) }
        } catch {
            putBack(mail.place)
        }
    }

    /// The start that a mail asks for; nil if it asks for nothing any more.
    private func request(for mail: Mail) throws(StoreError) -> StartRequest? {
        let end: RunEnd
        do throws(JournalProblem) {
            guard let read = try RunEnd(mail) else { return nil }
            end = read
        } catch {
            note("run_end.not_read", mail.place, error.reason)
            return nil
        }
        let tenant = mail.place.tenant
        guard let owner = try self.tenant(tenant),
            let plan = try catalog.plan(named: end.listener, of: tenant)
        else {
            note("run_end.no_listener", mail.place, "no workflow \(end.listener) is in service any more")
            return nil
        }
        var start = RunStart(
            triggerKind: "run", headers: [HTTPHeader("content-type", "application/json")], query: [],
            body: JSON.bytes(end.notice), at: clock.now(), tenantName: owner.name,
            externalCustomerID: owner.externalCustomerID)
        start.parsedBody = end.notice
        // JSON cannot say all that a run puts out, and after a restart the body is read anew.
        if end.notice.holdsBytes || !end.notice.isNested(atMost: JSON.depthMax) { start.input = end.notice }
        guard try listens(plan, to: end, start, tenant) else { return nil }
        start.cause = RunCause(run: end.run, depth: end.depth + 1)
        guard let lineage = placeOfSuccessor(of: end) else {
            note("run_end.too_many_descendants", mail.place, "its first start has led to as many as may be")
            return nil
        }
        start.lineage = lineage
        var request = StartRequest(
            tenant: owner, plan: plan, start: start,
            dedupe: RunCommit.Dedupe(key: end.key, scope: RunCommit.Dedupe.anyWorkflow),
            keepsWithoutFunds: true)
        (request.takes, request.isUnattended) = (mail.place, true)
        return request
    }

    /// Whether a trigger of the version in service hears of the end, and its guard lets it pass.
    ///
    /// A guard that raises an error lets it pass, so that the run fails where everyone sees it.
    private func listens(
        _ plan: RunPlan, to end: RunEnd, _ start: RunStart, _ tenant: TenantID
    ) throws(StoreError) -> Bool {
        guard let workflow = end.notice["workflow"]?.string, let outcome = end.notice["outcome"]?.string,
            let trigger = plan.trigger(forEndOf: workflow, outcome)
        else { return false }
        guard let expression = trigger.guardExpression else { return true }
        let scope = TriggerScope(
            trigger: TriggerView(start), vars: plan.definition.vars,
            tenant: TenantFacts(
                tenant: tenant, name: start.tenantName, externalCustomerID: start.externalCustomerID),
            secrets: try vault.secrets(of: tenant), now: start.at)
        do throws(ExpressionFailure) {
            return try GuardReading.isTrue(try expression.evaluate(in: scope))
        } catch {
            return true
        }
    }

    /// Its place among all that the first start has led to; nil if that is as many as may be.
    private func placeOfSuccessor(of end: RunEnd) -> RunLineage? {
        lock.withLock {
            descendants.note(end.lineage)
            return descendants.add(to: end.lineage.root, atMost: options.descendantCountMax)
                .map { RunLineage(root: end.lineage.root, ordinal: $0) }
        }
    }

    private func settle(_ place: MailPlace, _ request: StartRequest, _ result: StartResult) {
        if !result.isStarted, let root = request.start.lineage?.root {
            lock.withLock { descendants.giveBack(root) }
        }
        switch result {
        // Its own commit has taken the mail.
        case .started: lock.withLock { _ = mailRoom.inHand.remove(place) }
        case .duplicate: drop(place)
        case .skipped(let run):
            note("run_end.skipped", place, "the workflow skips runs beyond its limit, and \(run) is open")
            drop(place)
        case .refused(let code, let message):
            note("run_end.refused", place, "\(code): \(message)")
            drop(place)
        case .unfunded, .suspended, .tooManyRuns, .computedTooMuch, .overloaded, .unavailable:
            putBack(place)
        }
    }

    /// It stays in the store, and is looked at again a little later with all other mail of its tenant.
    private func putBack(_ place: MailPlace) {
        let until = clock.steady() + Self.mailPause
        lock.withLock {
            mailRoom.inHand.remove(place)
            mailRoom.blocked[place.tenant] = until
        }
        sweepMailLater()
    }

    private func drop(_ place: MailPlace) {
        let isFirst = lock.withLock {
            mailRoom.toDrop.append(place)
            return mailRoom.toDrop.count == 1
        }
        if isFirst { clock.schedule(after: Self.dropPause) { [self] in dropGathered() } }
    }

    private func dropGathered() {
        let places = lock.withLock {
            defer { mailRoom.toDrop = [] }
            return mailRoom.toDrop
        }
        do throws(StoreError) { try store.dropMail(places) } catch {
            log.write(.warning, "mail.not_dropped", [("error", .string(error.label))])
        }
        // What is still there is looked at again, and found to need nothing.
        lock.withLock { mailRoom.inHand.subtract(places) }
    }

    private func note(_ event: String, _ place: MailPlace, _ reason: String) {
        metrics.add("run_ends_dropped_total", "reason=\"\(event.dropFirst("run_end.".count))\"")
        log.write(
            .warning, event,
            [
                ("tenant", .string("\(place.tenant)")), ("mail", .string(place.key)),
                ("reason", .string(reason)),
            ])
    }
}
