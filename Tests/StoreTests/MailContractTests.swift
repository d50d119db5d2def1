import Storage
import Testing
import Values

@Suite("Contract of the stores: mail")
struct MailContractTests {
    private static func mail(
        _ key: String, _ body: [UInt8] = [1, 0, 255], to tenant: TenantID = Sample.tenant
    ) -> Mail { Mail(tenant: tenant, key: key, body: body, at: Sample.noon) }

    private static func places(_ store: any Store) throws -> [MailPlace] {
        try store.pendingMail(after: nil, limit: 9).map(\.place)
    }

    @Test(
        "mail is posted and taken with its commit, and survives until then", arguments: StoreBackend.allCases)
    func postedAndTaken(backend: StoreBackend) throws {
        let harness = try backend.start()
        let run = Sample.run(1)
        _ = try harness.store.commitAndWait(Sample.start(run))
        var step = Sample.step(run, "a")
        step.mail = [Self.mail("b"), Self.mail("a", []), Self.mail("c", to: .operatorTenant)]
        _ = try harness.store.commitAndWait(step)
        try harness.reopen()
        let (store, other) = (harness.store, Sample.run(2))
        // By tenant, then by key.
        let all = [Self.mail("c", to: .operatorTenant), Self.mail("a", []), Self.mail("b")]
        #expect(try store.pendingMail(after: nil, limit: 9) == all)
        #expect(try store.pendingMail(after: all[0].place, limit: 1) == [all[1]])
        #expect(try store.pendingMail(after: all[2].place, limit: 9).isEmpty)
        #expect(try store.pendingMail(after: nil, limit: 0).isEmpty)
        var start = Sample.start(other)
        start.takes = all[1].place
        _ = try store.commitAndWait(start)
        #expect(try store.pendingMail(after: nil, limit: 9) == [all[0], all[2]])
        try store.dropMail([all[2].place, all[1].place])
        try store.dropMail([all[2].place])
        try store.dropMail([])
        #expect(try Self.places(store) == [all[0].place])
    }

    @Test(
        "a key that is there changes nothing, and what was taken may come again",
        arguments: StoreBackend.allCases)
    func keysAreTaken(backend: StoreBackend) throws {
        let harness = try backend.start()
        let store = harness.store
        let run = Sample.run(1)
        _ = try store.commitAndWait(Sample.start(run))
        for (number, body) in [[1], [2]].enumerated() {
            var step = Sample.step(run, "s\(number)", Int64(number) + 2)
            step.mail = [Self.mail("k", body.map { UInt8($0) })]
            _ = try store.commitAndWait(step)
        }
        #expect(try store.pendingMail(after: nil, limit: 9) == [Self.mail("k", [1])])
    }

    @Test("a commit that is refused posts nothing and takes nothing", arguments: StoreBackend.allCases)
    func refusedCommits(backend: StoreBackend) throws {
        let harness = try backend.start()
        let store = harness.store
        let run = Sample.run(1)
        var start = Sample.start(run, dedupe: RunCommit.Dedupe(key: "k"))
        start.mail = [Self.mail("first")]
        _ = try store.commitAndWait(start)
        var stale = Sample.step(run, "a", 1)
        (stale.mail, stale.takes) = ([Self.mail("never")], Self.mail("first").place)
        #expect(throws: StoreError.self) { try store.commitAndWait(stale) }
        var duplicate = Sample.start(Sample.run(2), dedupe: RunCommit.Dedupe(key: "k"))
        (duplicate.mail, duplicate.takes) = ([Self.mail("never")], Self.mail("first").place)
        #expect(try store.commitAndWait(duplicate) == .duplicate(of: run, isSameContent: true))
        #expect(try Self.places(store) == [Self.mail("first").place])
    }

    @Test(
        "workflows that the ends of runs start are found, while they are in service",
        arguments: StoreBackend.allCases)
    func listenersAreFound(backend: StoreBackend) throws {
        let harness = try backend.start()
        func deploy(_ name: String, _ digest: UInt8, _ listens: Bool) throws {
            _ = try harness.store.deployWorkflow(
                name, of: Sample.tenant, digest: [digest], source: [digest], at: Sample.noon,
                listensToRuns: listens)
        }
        try deploy("b", 1, true)
        try deploy("a", 2, true)
        try deploy("c", 3, false)
        #expect(try harness.store.runListeners().map(\.name) == ["a", "b"])
        try deploy("b", 4, false)
        _ = try harness.store.deleteWorkflow("a", of: Sample.tenant)
        try harness.reopen()
        #expect(try harness.store.runListeners().isEmpty)
        try deploy("a", 2, true)
        #expect(
            try harness.store.runListeners() == [WorkflowAddress(tenant: Sample.tenant, name: "a")])
    }
}
