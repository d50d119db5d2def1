/// Keeps the most recently used entries, up to a total weight; each operation takes constant time.
///
/// The entries form a ring in the order of their last use, inside an array. A lookup moves an entry to the
/// front; an insertion evicts from the back. Elements stay until they are evicted or removed.
///
/// If more entries are used in turn than fit, a cache that always evicts the oldest one finds nothing. One that
/// resists scans puts most new entries at the back of a full cache: they replace each other, and the rest stays.
package struct LRUCache<Key: Hashable, Element> {
    fileprivate struct Node {
        var key: Key
        var element: Element
        var weight: Int
        /// The entry used just before this one; for the oldest entry, the newest one.
        var older: Int
        var newer: Int
    }

    /// Of so many new entries of a full cache, one comes to the front, so that what is not used any more leaves.
    private static var frontShare: Int { 8 }

    private let weightMax: Int
    private let resistsScans: Bool
    private var evictingCount = 0
    private var nodes: [Node] = []
    private var places: [Key: Int] = [:]
    private var newest = 0
    /// The total weight of all entries.
    package private(set) var weight = 0

    /// - Parameters:
    ///   - weightMax: Most total weight, at least 0; a single entry may weigh more.
    ///   - resistsScans: Whether part of the entries is kept if more are used in turn than fit.
    package init(weightMax: Int, resistsScans: Bool = false) {
        self.weightMax = weightMax
        self.resistsScans = resistsScans
    }

    package var count: Int { nodes.count }

    /// The element for `key`, which becomes the most recently used.
    package mutating func use(_ key: Key) -> Element? {
        guard let place = places[key] else { return nil }
        moveToFront(place)
        return nodes[place].element
    }

    /// Inserts or replaces the element for `key`, and evicts the least recently used ones beyond the bound.
    ///
    /// - Parameters:
    ///   - element: The element.
    ///   - key: Its key.
    ///   - weight: At least 0.
    package mutating func insert(_ element: Element, for key: Key, weight: Int = 1) {
        if let place = places[key] {
            self.weight += weight - nodes[place].weight
            nodes[place].element = element
            nodes[place].weight = weight
            moveToFront(place)
        } else {
            let isFull = self.weight + weight > weightMax && count > 0
            // Before the new entry is there, which may become the oldest.
            while self.weight + weight > weightMax, count > 0 { remove(at: nodes[newest].newer) }
            append(Node(key: key, element: element, weight: weight, older: 0, newer: 0))
            if isFull, resistsScans {
                evictingCount += 1
                if evictingCount % Self.frontShare != 0 { newest = nodes[newest].older }
            }
        }
        while self.weight > weightMax, count > 1 { remove(at: nodes[newest].newer) }
    }

    /// Removes and returns the element for `key`.
    @discardableResult
    package mutating func remove(_ key: Key) -> Element? {
        guard let place = places[key] else { return nil }
        let element = nodes[place].element
        remove(at: place)
        return element
    }

    /// Removes every element for which `isUnwanted` is true; takes time linear in the number of entries.
    package mutating func removeAll(where isUnwanted: (Element) -> Bool) {
        for key in nodes.filter({ isUnwanted($0.element) }).map(\.key) { remove(key) }
    }

    // MARK: - The ring

    private mutating func append(_ node: Node) {
        let place = nodes.count
        nodes.append(node)
        places[node.key] = place
        weight += node.weight
        if place == 0 { newest = 0 } else { link(place) }
    }

    private mutating func moveToFront(_ place: Int) {
        guard place != newest else { return }
        unlink(place)
        link(place)
    }

    /// Links an unlinked node in front of the newest.
    private mutating func link(_ place: Int) {
        let oldest = nodes[newest].newer
        nodes[place].older = newest
        nodes[place].newer = oldest
        nodes[newest].newer = place
        nodes[oldest].older = place
        newest = place
    }

    private mutating func unlink(_ place: Int) {
        let (older, newer) = (nodes[place].older, nodes[place].newer)
        nodes[newer].older = older
        nodes[older].newer = newer
        if place == newest { newest = older }
    }

    /// Removes a node; the last node of the array moves to its place.
    private mutating func remove(at place: Int) {
        unlink(place)
        weight -= nodes[place].weight
        places[nodes[place].key] = nil
        let last = nodes.removeLast()
        guard place < nodes.count else { return }
        nodes[place] = last
        places[last.key] = place
        let moved = nodes.count
        if newest == moved { newest = place }
        if last.older == moved {
            // It was the only one in the ring.
            (nodes[place].older, nodes[place].newer) = (place, place)
        } else {
            nodes[last.older].newer = place
            nodes[last.newer].older = place
        }
    }
}

extension LRUCache: Sendable where Key: Sendable, Element: Sendable {}
extension LRUCache.Node: Sendable where Key: Sendable, Element: Sendable {}
