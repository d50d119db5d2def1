/// How many shared places one pool may take, of all requests or of those to one host.
///
/// A pool may hold `factor` times as many places as are free. With factor 3, a single pool gets three
/// quarters, and each of two gets three sevenths. So a further pool finds places too, and gets more as the
/// others' requests end. One eighth of all places is reserved for pools that use the reserve, which are the
/// operator's.
struct PlaceShare {
    private let count: Int
    private let factor: Int
    private let countMaxOfPool: Int

    init(count: Int, factor: Int, countMaxOfPool: Int = .max) {
        self.count = max(1, count)
        self.factor = factor
        self.countMaxOfPool = countMaxOfPool
    }

    /// Whether a pool that holds `own` of the `used` places may take another.
    func admits(own: Int, used: Int, usesReserve: Bool) -> Bool {
        // Fewer than eight places are not worth sharing.
        if usesReserve || count < 8 { return used < count && own < countMaxOfPool }
        let free = count - count / 8 - used
        return free > 0 && own < min(countMaxOfPool, factor * free)
    }
}
