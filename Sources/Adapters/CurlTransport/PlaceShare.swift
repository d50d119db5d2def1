/// How many of the places that pools share, those of all requests or those to one host, one pool may take.
///
/// A pool may have so many times what is free beside it: alone with factor 3 it may have three quarters, and each of two
/// may have three sevenths. So the next one finds places too, and gets more as requests of the others end. An eighth of
/// all places is kept for pools that use the reserve, the operator's.
struct PlaceShare {
    private let count: Int
    private let factor: Int
    private let countMaxOfPool: Int

    init(count: Int, factor: Int, countMaxOfPool: Int = .max) {
        self.count = max(1, count)
        self.factor = factor
        self.countMaxOfPool = countMaxOfPool
    }

    /// Whether a pool that has `own` of the `used` places may take another one.
    func admits(own: Int, used: Int, usesReserve: Bool) -> Bool {
        // Fewer than eight are too few to be shared out.
        if usesReserve || count < 8 { return used < count && own < countMaxOfPool }
        let free = count - count / 8 - used
        return free > 0 && own < min(countMaxOfPool, factor * free)
    }
}
