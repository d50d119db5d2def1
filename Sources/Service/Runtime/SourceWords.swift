extension [UInt8] {
    /// Whether a workflow's source may hold that word as a key or value: reading it would cost far more.
    ///
    /// A JSON or quoted text may spell the word with an escape.
    func mayName(_ word: String) -> Bool {
        if contains(UInt8(ascii: "\\")) { return true }
        let word = Array(word.utf8)
        guard let first = word.first, count >= word.count else { return false }
        return (0...count - word.count).contains { start in
            self[start] == first && self[start..<start + word.count].elementsEqual(word)
        }
    }
}
