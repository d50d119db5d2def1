import Clocks
import Engine
import Foundation
import OpenSSLCrypto
import Ports
import Runtime
import SQLiteStore
import Storage
import Testing
import Values

/// A runtime on a database file that a test closes and opens again at any moment.
private final class FileWorld: @unchecked Sendable {
    // Unchecked: the parts are replaced by the test's own thread alone.
    private let path: String
    private let cryptography = OpenSSLCryptography()
    private(set) var store: SQLiteStore
    private(set) var clock: SystemClock
    private var thread: ThreadedTransport
    private(set) var catalog: Catalog
    private(set) var runtime: Runtime
    private let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "children-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        path = folder.appendingPathComponent("store.db").path
        (store, clock, thread, catalog, runtime) = try Self.open(path, cryptography)
        try store.addTenant(Tenant(tenant: .operatorTenant, name: "operator", createdAt: clock.now()))
        try runtime.recover()
    }

    deinit {
        close()
        try? FileManager.default.removeItem(at: folder)
    }

    private static func open(
        _ path: String, _ cryptography: OpenSSLCryptography
    ) throws -> (SQLiteStore, SystemClock, ThreadedTransport, Catalog, Runtime) {
        let clock = SystemClock()
        let store = try SQLiteStore.open(
            path: path, sha256: { cryptography.sha256($0) }, clock: { clock.now() })
        let transport = ThreadedTransport(clock: clock)
        let catalog = Catalog(store: store, loader: RuntimeWorld.loader, cryptography: cryptography)
        let vault = try SecretVault(
            store: store, cryptography: cryptography, masterKey: [UInt8](repeating: 7, count: 32))
        let runtime = try Runtime(
            store: store, transport: transport, clock: clock, catalog: catalog, vault: vault,
            cryptography: cryptography, options: RuntimeOptions(), metrics: Metrics(), log: .silent,
            onFatal: { _ in })
        return (store, clock, transport, catalog, runtime)
    }

    private func close() {
        thread.shutDown()
        store.close()
        clock.shutDown()
    }

    /// The process dies with whatever is on its way to the disk, and the next one recovers.
    func crash() throws {
        close()
        (store, clock, thread, catalog, runtime) = try Self.open(path, cryptography)
        try runtime.recover()
    }

    var transport: ScriptedTransport { thread.scripted }

    func deploy(_ source: String) throws {
        let bytes = Array(source.utf8)
        let definition = try #require(catalog.check(bytes).definition, "\(catalog.check(bytes).problems)")
        _ = try catalog.deploy(definition, source: bytes, of: .operatorTenant, at: clock.now())
    }

    @discardableResult
    func start(_ workflow: String, _ body: Value = .null) throws -> RunID {
        let started = Promise<RunID?>()
        let start = RunStart(
            triggerKind: "http", headers: [], query: [], body: JSON.bytes(body), at: clock.now(),
            tenantName: "operator", externalCustomerID: nil)
        let request = StartRequest(
            tenant: try #require(try store.tenant(.operatorTenant)),
            plan: try #require(try catalog.plan(named: workflow, of: .operatorTenant)), start: start,
            keepsWithoutFunds: true)
        runtime.start(request) { result in
            if case .started(let run) = result { started.fulfil(run) } else { started.fulfil(nil) }
        }
        return try #require(started.wait(atMost: .seconds(5)) ?? nil)
    }

    /// Waits until something holds, without a pause that could be too short.
    func await(_ what: String, _ condition: () throws -> Bool) throws {
        let end = ContinuousClock.now + .seconds(10)
        while try !condition() {
            guard ContinuousClock.now < end else {
                Issue.record("it never came: \(what)")
                return
            }
            _ = Promise<Bool>().wait(atMost: .milliseconds(1))
        }
    }

    func status(_ run: RunID) throws -> RunStatus? { try store.run(run, of: .operatorTenant)?.status }

    func runs(_ workflow: String) throws -> [RunRecord] {
        try store.runs(of: .operatorTenant, RunQuery(workflow: workflow, limit: 200)).reversed()
    }
}

@Suite("Children and queues on a file")
struct ChildrenOnDiskTests {
    private static let child = """
        {name: child, version: 1, triggers: [{type: manual}], output: << trigger.body >>,
         steps: [{request: {url: "https://a.example/"}}]}
        """
    private static let parent = """
        {name: parent, version: 1, triggers: [{type: http}], output: << steps.c.output >>,
         steps: {c: {call: child, input: << trigger.body >>}}}
        """

    @Test("a parent and its child come through crashes at every turn, and the child is one")
    func crashes() throws {
        let world = try FileWorld()
        try world.deploy(Self.child)
        try world.deploy(Self.parent)
        let parent = try world.start("parent", 7)
        try world.crash()
        try world.await("the child's request") { !world.transport.waiting.isEmpty }
        try world.crash()
        try world.await("the child's request again") { !world.transport.waiting.isEmpty }
        world.transport.succeed(world.transport.waiting[0])
        try world.await("the child's end") { try world.runs("child").first?.status == .succeeded }
        try world.crash()
        try world.await("the parent's end") { try world.status(parent) == .succeeded }
        #expect(try world.runs("child").count == 1)
        let record = try #require(try world.store.run(parent, of: .operatorTenant))
        #expect(try world.runtime.view(of: record)["output"] == 7)
    }

    @Test("a cancel goes down to the child across a crash")
    func cancelAcrossACrash() throws {
        let world = try FileWorld()
        try world.deploy(
            "{name: child, version: 1, triggers: [{type: manual}], steps: [{wait: never}]}")
        try world.deploy(Self.parent)
        let parent = try world.start("parent")
        try world.await("the child") { try !world.runs("child").isEmpty }
        let isCancelled = Promise<Bool>()
        world.runtime.cancel(parent, of: .operatorTenant, reason: "x") { isCancelled.fulfil($0) }
        #expect(isCancelled.wait(atMost: .seconds(5)) == true)
        try world.crash()
        try world.await("both ends") {
            try world.status(parent) == .cancelled && world.runs("child").first?.status == .cancelled
        }
    }

    @Test("a queue of fifty goes on in its order after a crash in its middle")
    func queueAcrossACrash() throws {
        let world = try FileWorld()
        try world.deploy(
            """
            {name: one, version: 1, triggers: [{type: http}], concurrency: {key: all},
             steps: [{request: {url: "https://a.example/<< trigger.body >>"}}]}
            """)
        let runs = try (0..<50).map { try world.start("one", .int($0)) }
        world.transport.answerAll { request in
            request.url.hasSuffix("/20") ? .failure(.cancelled) : ScriptedTransport.ok()
        }
        world.transport.succeed(0)
        try world.await("twenty ends") { try world.status(runs[19]) == .succeeded }
        try world.crash()
        #expect(try world.runs("one").filter { !$0.status.isFinal }.count == 30)
        world.transport.answerAll { _ in ScriptedTransport.ok() }
        // Sent during the recovery, it waits; sent after the script was set, it is answered already.
        try world.await("the twenty-first") { !world.transport.requests.isEmpty }
        world.transport.succeed(0)
        try world.await("all ends") { try world.status(runs[49]) == .succeeded }
        let ends = try world.runs("one").compactMap(\.finishedAt)
        #expect(ends == ends.sorted() && ends.count == 50)
        let numbers = world.transport.requests.compactMap { request in
            request.url.split(separator: "/").last.flatMap { Int($0) }
        }
        #expect(numbers == Array(20..<50), "each went once, in order")
    }

    @Test("a skip on a file is told a repeat from a start too many")
    func skip() throws {
        let world = try FileWorld()
        try world.deploy(
            """
            {name: one, version: 1, triggers: [{type: http}], steps: [{wait: go}],
             concurrency: {key: all, on_limit: skip}}
            """)
        let first = Promise<RunID?>()
        let results = Recorder<StartResult>()
        let plan = try #require(try world.catalog.plan(named: "one", of: .operatorTenant))
        let tenant = try #require(try world.store.tenant(.operatorTenant))
        let allTold = Promise<Bool>()
        for key in ["x", "x", "y"] {
            let start = RunStart(
                triggerKind: "http", headers: [], query: [], body: [], at: world.clock.now(),
                tenantName: "operator", externalCustomerID: nil)
            let request = StartRequest(
                tenant: tenant, plan: plan, start: start, dedupe: RunCommit.Dedupe(key: key),
                keepsWithoutFunds: true)
            world.runtime.start(request) { result in
                if case .started(let run) = result { first.fulfil(run) }
                results.add(result)
                if results.items.count == 3 { allTold.fulfil(true) }
            }
        }
        #expect(allTold.wait(atMost: .seconds(5)) == true)
        let run = try #require(first.wait(atMost: .seconds(5)) ?? nil)
        #expect(results.items.contains { if case .duplicate(run, true) = $0 { true } else { false } })
        #expect(results.items.contains { if case .skipped(of: run) = $0 { true } else { false } })
    }
}
