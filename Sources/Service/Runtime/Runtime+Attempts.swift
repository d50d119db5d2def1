package import Engine
import Ports
package import Storage
import Values
import Workflow

extension Runtime {
    /// A run's requests, rebuilt from its journal, with their answers.
    package struct AttemptPage: Sendable {
        package var attempts: [AttemptReplay.Attempt]
        /// Why there are none; nil if the journal could be read.
        package var problem: String?
    }

    /// What a run has sent, oldest first, and behind it what is in flight.
    ///
    /// Secrets are not opened for it, and what it computes counts as the tenant's computing.
    package func attempts(
        of record: RunRecord, _ selection: AttemptReplay.Selection
    ) throws(StoreError) -> AttemptPage {
        // With masks in the places of sensitive values, so that none is in a request that is shown.
        let reading = try reading(of: record, opensSealed: false)
        guard case .read(let machine, let records) = reading else {
            return AttemptPage(attempts: [], problem: reading.problem)
        }
        let begun = allowance.reading()
        defer { allowance.charge(record.tenant, since: begun) }
        let (plain, addresses) = (
            try standIns(for: record, machine.plan, asAddresses: false),
            try standIns(for: record, machine.plan, asAddresses: true)
        )
        var replay = AttemptReplay(
            run: record.run, plan: machine.plan, surroundings: plain, alternative: addresses)
        var found = replay.attempts(in: records, selection)
        if found.count < selection.limit, let live = lock.withLock({ slots[record.run]?.machine }) {
            found += AttemptReplay.inFlight(
                of: live, step: selection.step, limit: selection.limit - found.count, in: plain,
                alternative: addresses)
        }
        return AttemptPage(attempts: found)
    }

    /// What a run's expressions see when it is looked at: each secret is a stand-in, which is masked.
    func standIns(
        for record: RunRecord, _ plan: RunPlan, asAddresses: Bool
    ) throws(StoreError) -> Surroundings {
        let real = try vault.secrets(of: record.tenant)
        var standIns = OpenSecrets()
        // A workflow that reaches `secrets` without naming one may read any of them; one of them signs every request.
        let readsAny = plan.definition.secretNames.contains("*")
        var names = Set(plan.definition.secretNames.filter { $0 != "*" })
        names.formUnion(real.byName.keys.filter { readsAny || $0 == "MILLRACE_SIGNING_SECRET" })
        for name in names {
            let text = "standin-\(name.lowercased())-7f3q"
            standIns.byName[name] = OpenSecrets.Secret(
                value: asAddresses ? "https://\(text).invalid" : text, hosts: [])
        }
        // The real ones too: one may stand in a constant or in what has been received.
        var hidden = standIns.byName.values.map(\.value) + names.compactMap { real.byName[$0]?.value }
        let bare = surroundings(record, standIns, Redactor(secrets: [] as [String]))
        if let token = bare.signalToken(for: record.run) { hidden.append(token) }
        return surroundings(record, standIns, Redactor(secrets: hidden))
    }

    private func surroundings(
        _ record: RunRecord, _ secrets: OpenSecrets, _ redactor: Redactor
    ) -> Surroundings {
        Surroundings(
            tenant: record.tenant, secrets: secrets, redactor: redactor, cryptography: cryptography,
            signalKey: vault.signalKey, publicURL: options.publicURL, gauge: gauge)
    }
}
