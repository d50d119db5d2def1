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

    @Test("large plans take the place of many small ones, and one that is too large for all is kept alone")
    func byWeight() throws {
        let (catalog, loader) = try Self.deployed(3, padding: 10_000, weightMax: 2 * 170_000)
        for number in [0, 1, 0, 1, 0, 1] { _ = try catalog.plan(named: "w\(number)", of: .operatorTenant) }
        #expect(loader.count == 2)
        for number in [2, 0, 1] { _ = try catalog.plan(named: "w\(number)", of: .operatorTenant) }
        #expect(loader.count == 5)
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
