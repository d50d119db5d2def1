import MemoryStore
import Ports
import Storage
import TestSupport
import Testing
import Values
import Workflow

@testable import Runtime

@Suite("Plans in memory")
struct CatalogCacheTests {
    /// Counts what is compiled.
    private final class CountingLoader: DefinitionLoader, @unchecked Sendable {
        // Unchecked: `loadCount` is read and written under `lock`.
        private let lock = Lock()
        private var loadCount = 0

        var count: Int { lock.withLock { loadCount } }

        func load(_ source: [UInt8]) -> (definition: WorkflowDefinition?, problems: [Problem]) {
            lock.withLock { loadCount += 1 }
            return FileLoader().load(source)
        }
    }

    private static func source(_ name: String, padding: Int = 0) -> [UInt8] {
        let comment = padding > 0 ? "# \(String(repeating: "x", count: padding))\n" : ""
        let text = "name: \(name)\nversion: 1\ntriggers: [{type: http}]\nsteps: [{lua: return 1}]\n"
        return Array((comment + text).utf8)
    }

    private static func deployed(
        _ count: Int, padding: Int = 0, weightMax: Int
    ) throws -> (Catalog, CountingLoader) {
        let world = try RuntimeWorld()
        for number in 0..<count {
            let source = source("w\(number)", padding: padding)
            _ = try world.store.deployWorkflow(
                "w\(number)", of: .operatorTenant,
                digest: Array(repeating: UInt8(number % 256), count: 31)
                    + [UInt8(number / 256)], source: source, at: world.clock.now(), listensToRuns: false)
        }
        let loader = CountingLoader()
        let catalog = Catalog(
            store: world.store, loader: loader, cryptography: world.runtime.cryptography,
            weightMax: weightMax)
        return (catalog, loader)
    }

    @Test("what is used again and again is compiled once, although more than fits is in service")
    func workingSet() throws {
        let (catalog, loader) = try Self.deployed(60, weightMax: 30 * 6_000)
        for round in 0..<5 {
            for number in 0..<10 { _ = try catalog.plan(named: "w\(number)", of: .operatorTenant) }
            // A few strangers each round push out what is not used.
            for number in 0..<10 {
                _ = try catalog.plan(named: "w\(10 + round * 10 + number)", of: .operatorTenant)
            }
        }
        #expect(loader.count == 60)
    }

    @Test(
        "if more workflows are used in turn than fit, part of them is not compiled again, and a change is followed"
    )
    func scan() throws {
        let (catalog, loader) = try Self.deployed(80, weightMax: 30 * 6_000)
        func use(_ numbers: Range<Int>) throws -> Int {
            let before = loader.count
            for number in numbers { _ = try catalog.plan(named: "w\(number)", of: .operatorTenant) }
            return loader.count - before
        }
        #expect(try use(0..<60) == 60)
        var again = 0
        for _ in 0..<10 { again += try use(0..<60) }
        // All 600 with the oldest evicted; at best, half of them.
        #expect(again < 450, "\(again)")
        // What is used now takes the place of what is not used any more.
        for _ in 0..<20 { _ = try use(60..<80) }
        #expect(try use(60..<80) == 0)
    }

    @Test("large plans take the place of many small ones, and one that is too large for all is kept alone")
    func byWeight() throws {
        let (catalog, loader) = try Self.deployed(3, padding: 10_000, weightMax: 2 * 170_000)
        for number in [0, 1, 0, 1, 0, 1] { _ = try catalog.plan(named: "w\(number)", of: .operatorTenant) }
        #expect(loader.count == 2)
        for number in [2, 0, 1] { _ = try catalog.plan(named: "w\(number)", of: .operatorTenant) }
        // One of the two that were there stays.
        #expect(loader.count == 4)
        let (small, counter) = try Self.deployed(1, weightMax: 0)
        for _ in 0..<3 { _ = try small.plan(named: "w0", of: .operatorTenant) }
        #expect(counter.count == 1)
    }

    @Test("the shipped bound holds more versions than one tenant may have in service")
    func shippedBound() throws {
        let (catalog, loader) = try Self.deployed(2_500, weightMax: Catalog.weightMax)
        for _ in 0..<2 {
            for number in 0..<2_500 { _ = try catalog.plan(named: "w\(number)", of: .operatorTenant) }
        }
        #expect(loader.count == 2_500)
    }
}
