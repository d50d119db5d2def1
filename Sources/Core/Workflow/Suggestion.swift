/// Finds the known word closest to a misspelt one.
package enum Suggestion {
    /// A "did you mean" hint for `word`; nil if no known word is close.
    package static func hint(for word: String, among known: some Sequence<String>) -> String? {
        let letters = Array(word.lowercased().unicodeScalars.prefix(65))
        guard letters.count > 1, letters.count <= 64 else { return nil }
        // A single letter is close to every other.
        let reach = letters.count < 3 ? letters.count - 1 : min(3, letters.count / 3 + 1)
        var best: (word: String, distance: Int)?
        for candidate in known {
            let distance = distance(
                letters, Array(candidate.lowercased().unicodeScalars.prefix(64)), atMost: reach)
            if distance <= reach, distance < (best?.distance ?? .max) { best = (candidate, distance) }
        }
        return best.map { "did you mean `\($0.word)`?" }
    }

    /// The number of insertions, deletions, replacements and swaps of neighbours; `.max` if the lengths
    /// differ too much.
    private static func distance(_ left: [Unicode.Scalar], _ right: [Unicode.Scalar], atMost reach: Int)
        -> Int
    {
        guard abs(left.count - right.count) <= reach else { return .max }
        var beforeLast: [Int] = []
        var last = Array(0...right.count)
        for row in left.indices {
            var current = [row + 1]
            for column in right.indices {
                let change = left[row] == right[column] ? 0 : 1
                var cost = min(last[column] + change, last[column + 1] + 1, current[column] + 1)
                if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
                    cost = min(cost, beforeLast[column - 1] + 1)
                }
                current.append(cost)
            }
            (beforeLast, last) = (last, current)
        }
        return last[right.count]
    }
}
