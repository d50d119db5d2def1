/// How two texts differ, line by line, in the unified form of `diff -u`.
struct LineDiff {
    private enum Line {
        case kept(String)
        case removed(String)
        case added(String)

        var text: String {
            switch self {
            case .kept(let text): " " + text
            case .removed(let text): "-" + text
            case .added(let text): "+" + text
            }
        }

        var isKept: Bool { if case .kept = self { true } else { false } }
    }

    private static let contextCount = 3

    private let lines: [Line]

    init(_ before: [String], _ after: [String]) {
        let difference = after.difference(from: before) { $0.utf8.elementsEqual($1.utf8) }
        var removed: Set<Int> = []
        var added: Set<Int> = []
        for change in difference {
            switch change {
            case .remove(let offset, _, _): removed.insert(offset)
            case .insert(let offset, _, _): added.insert(offset)
            }
        }
        var lines: [Line] = []
        var (old, new) = (0, 0)
        while old < before.count || new < after.count {
            if old < before.count, removed.contains(old) {
                lines.append(.removed(before[old]))
                old += 1
            } else if new < after.count, added.contains(new) {
                lines.append(.added(after[new]))
                new += 1
            } else {
                lines.append(.kept(after[new]))
                (old, new) = (old + 1, new + 1)
            }
        }
        self.lines = lines
    }

    var differs: Bool { !lines.allSatisfy(\.isKept) }

    /// The changes, each with three lines around it.
    func text(from before: String, to after: String) -> String {
        guard differs else { return "" }
        return (["--- \(before)", "+++ \(after)"] + hunks.flatMap(text(of:))).joined(separator: "\n")
    }

    private var hunks: [Range<Int>] {
        var hunks: [Range<Int>] = []
        for index in lines.indices where !lines[index].isKept {
            let range =
                max(0, index - Self.contextCount)..<min(lines.count, index + Self.contextCount + 1)
            if let last = hunks.last, range.lowerBound <= last.upperBound {
                hunks[hunks.count - 1] = last.lowerBound..<range.upperBound
            } else {
                hunks.append(range)
            }
        }
        return hunks
    }

    private func text(of hunk: Range<Int>) -> [String] {
        let before = place(hunk) { if case .added = $0 { false } else { true } }
        let after = place(hunk) { if case .removed = $0 { false } else { true } }
        return ["@@ -\(before) +\(after) @@"] + lines[hunk].map(\.text)
    }

    /// `12,7`: the first line of a side and how many there are.
    private func place(_ hunk: Range<Int>, where isOfSide: (Line) -> Bool) -> String {
        let count = lines[hunk].count(where: isOfSide)
        let first = lines[..<hunk.lowerBound].count(where: isOfSide)
        return "\(count == 0 ? first : first + 1),\(count)"
    }
}
