import TestSupport
import Testing
import Values

@Suite("LRUCache")
struct LRUCacheTests {
    @Test("what was used longest ago goes first")
    func order() {
        var cache = LRUCache<String, Int>(weightMax: 3)
        for (index, key) in ["a", "b", "c"].enumerated() { cache.insert(index, for: key) }
        #expect(cache.use("a") == 0)
        cache.insert(3, for: "d")
        #expect(cache.use("b") == nil && cache.use("a") == 0 && cache.use("c") == 2 && cache.use("d") == 3)
        cache.insert(4, for: "a")
        cache.insert(5, for: "e")
        #expect(cache.use("c") == nil && cache.use("a") == 4 && cache.count == 3)
        #expect(cache.remove("a") == 4 && cache.remove("a") == nil && cache.use("a") == nil)
        #expect(cache.count == 2 && cache.weight == 2)
    }

    @Test("a heavy entry evicts as many as it weighs, and is kept alone if it is heavier than all may be")
    func weights() {
        var cache = LRUCache<Int, Int>(weightMax: 100)
        for key in 0..<100 { cache.insert(key, for: key) }
        cache.insert(-1, for: 1_000, weight: 60)
        #expect(cache.count == 41 && cache.weight == 100 && cache.use(59) == nil && cache.use(60) == 60)
        cache.insert(-2, for: 1_001, weight: 500)
        #expect(cache.count == 1 && cache.use(1_001) == -2)
        cache.insert(-3, for: 1_002)
        #expect(cache.count == 1 && cache.use(1_002) == -3)
    }

    @Test("a cache of no weight keeps the last one")
    func empty() {
        var cache = LRUCache<Int, Int>(weightMax: 0)
        for key in 0..<3 { cache.insert(key, for: key) }
        #expect(cache.count == 1 && cache.use(2) == 2)
        #expect(cache.remove(2) == 2 && cache.count == 0 && cache.weight == 0)
        cache.insert(7, for: 7)
        #expect(cache.use(7) == 7)
    }

    /// The plain way: a list by last use.
    private struct Model {
        let weightMax: Int
        var entries: [(key: Int, element: Int, weight: Int)] = []

        mutating func use(_ key: Int) -> Int? {
            guard let index = entries.firstIndex(where: { $0.key == key }) else { return nil }
            let entry = entries.remove(at: index)
            entries.append(entry)
            return entry.element
        }

        mutating func insert(_ element: Int, _ key: Int, _ weight: Int) {
            entries.removeAll { $0.key == key }
            entries.append((key, element, weight))
            while entries.count > 1, entries.reduce(0, { $0 + $1.weight }) > weightMax {
                entries.removeFirst()
            }
        }
    }

    @Test("it keeps what a plain list keeps", arguments: UInt64(1)...8)
    func likeAList(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var model = Model(weightMax: 40)
        var cache = LRUCache<Int, Int>(weightMax: 40)
        for step in 0..<5_000 {
            let key = Int.random(in: 0..<30, using: &random)
            switch Int.random(in: 0..<10, using: &random) {
            case 0...4: #expect(cache.use(key) == model.use(key), "seed \(seed), step \(step)")
            case 5:
                model.entries.removeAll { $0.key == key }
                cache.remove(key)
            default:
                let weight = Int.random(in: 0...6, using: &random)
                model.insert(step, key, weight)
                cache.insert(step, for: key, weight: weight)
            }
            #expect(cache.count == model.entries.count, "seed \(seed), step \(step)")
            #expect(cache.weight == model.entries.reduce(0) { $0 + $1.weight }, "seed \(seed), step \(step)")
        }
    }
}
