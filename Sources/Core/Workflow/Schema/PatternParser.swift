/// Parses a pattern into a tree and compiles the tree to instructions.
struct PatternParser {
    private indirect enum Tree {
        case empty
        case set(CharacterSet)
        case assertion(LinearPattern.Instruction)
        case sequence([Tree])
        case choice([Tree])
        case repeated(Tree, least: Int, most: Int?)
    }

    private static let instructionCountMax = 2000
    private static let repeatMax = 1000
    private static let depthMax = 50

    private let scalars: [Unicode.Scalar]
    private var position = 0
    private var depth = 0
    private var out: [LinearPattern.Instruction] = []
    private var emitCount = 0

    init(_ source: String) { scalars = Array(source.unicodeScalars) }

    mutating func program() throws(PatternFault) -> [LinearPattern.Instruction] {
        let tree = try choice()
        guard position == scalars.count else { throw PatternFault(reason: "a ) without (") }
        try emit(tree)
        out.append(.match)
        return out
    }

    private var next: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard next == scalar else { return false }
        position += 1
        return true
    }

    // MARK: - Reading

    private mutating func choice() throws(PatternFault) -> Tree {
        var branches: [Tree] = []
        repeat {
            var parts: [Tree] = []
            while let scalar = next, scalar != "|", scalar != ")" { parts.append(try quantified()) }
            branches.append(.sequence(parts))
        } while take("|")
        return branches.count == 1 ? branches[0] : .choice(branches)
    }

    private mutating func quantified() throws(PatternFault) -> Tree {
        let tree = try atom()
        let (least, most): (Int, Int?)
        switch next {
        case "*": (least, most) = (0, nil)
        case "+": (least, most) = (1, nil)
        case "?": (least, most) = (0, 1)
        case "{": (least, most) = try bounds()
        default: return tree
        }
        position += 1
        _ = take("?")
        if let scalar = next, scalar == "*" || scalar == "+" || scalar == "?" || scalar == "{" {
            throw PatternFault(reason: "two repetitions in a row")
        }
        if case .assertion = tree { throw PatternFault(reason: "a position cannot be repeated") }
        return .repeated(tree, least: least, most: most)
    }

    /// Reads `{2}`, `{2,}` or `{2,5}`, up to the closing brace.
    private mutating func bounds() throws(PatternFault) -> (Int, Int?) {
        position += 1
        guard let least = number() else { throw PatternFault(reason: "a literal { is written \\{") }
        var most: Int? = least
        if take(",") { most = number() }
        guard next == "}", (most ?? least) >= least else {
            throw PatternFault(reason: "a repetition that cannot be read")
        }
        guard max(least, most ?? 0) <= Self.repeatMax else {
            throw PatternFault(reason: "a repetition of more than \(Self.repeatMax)")
        }
        return (least, most)
    }

    private mutating func number() -> Int? {
        var digits = ""
        while let scalar = next, ("0"..."9").contains(scalar) {
            digits.unicodeScalars.append(scalar)
            position += 1
        }
        return digits.isEmpty ? nil : Int(digits.prefix(9))
    }

    private mutating func atom() throws(PatternFault) -> Tree {
        guard let scalar = next else { return .empty }
        position += 1
        switch scalar {
        case ".": return .set(CharacterSet.lineEnd.negated)
        case "^": return .assertion(.start)
        case "$": return .assertion(.end)
        case "(": return try group()
        case "[": return .set(try characterClass())
        case "\\": return try escape()
        case "*", "+", "?", "{": throw PatternFault(reason: "nothing to repeat before \(scalar)")
        default: return .set(CharacterSet(ranges: [scalar.value...scalar.value]))
        }
    }

    private mutating func group() throws(PatternFault) -> Tree {
        depth += 1
        guard depth <= Self.depthMax else {
            throw PatternFault(reason: "groups nested deeper than \(Self.depthMax)")
        }
        if take("?") {
            if take("<"), let scalar = next, scalar != "=", scalar != "!" {
                while let scalar = next, scalar != ">" { position += 1 }
                guard take(">") else { throw PatternFault(reason: "a group name without >") }
            } else if !take(":") {
                throw PatternFault(reason: "look-ahead and look-behind are not supported")
            }
        }
        let tree = try choice()
        guard take(")") else { throw PatternFault(reason: "a ( without )") }
        depth -= 1
        return tree
    }

    private mutating func escape() throws(PatternFault) -> Tree {
        if take("b") { return .assertion(.wordBoundary(true)) }
        if take("B") { return .assertion(.wordBoundary(false)) }
        if let scalar = next, ("1"..."9").contains(scalar) || scalar == "k" {
            throw PatternFault(reason: "back-references are not supported")
        }
        return .set(try escapedSet())
    }

    private mutating func characterClass() throws(PatternFault) -> CharacterSet {
        var set = CharacterSet()
        set.isNegated = take("^")
        while let scalar = next, scalar != "]" {
            let low = try classMember()
            guard next == "-", position + 1 < scalars.count, scalars[position + 1] != "]" else {
                set.inner.append(low)
                continue
            }
            position += 1
            let high = try classMember()
            guard let from = low.single, let to = high.single, from <= to else {
                throw PatternFault(reason: "a range in [ ] that is not from low to high")
            }
            set.ranges.append(from...to)
        }
        guard take("]") else { throw PatternFault(reason: "a [ without ]") }
        return set
    }

    private mutating func classMember() throws(PatternFault) -> CharacterSet {
        guard let scalar = next else { throw PatternFault(reason: "a [ without ]") }
        position += 1
        guard scalar == "\\" else { return CharacterSet(ranges: [scalar.value...scalar.value]) }
        if take("b") { return CharacterSet(ranges: [8...8]) }
        return try escapedSet()
    }

    /// The set after a backslash.
    private mutating func escapedSet() throws(PatternFault) -> CharacterSet {
        guard let scalar = next else { throw PatternFault(reason: "a \\ at the end") }
        position += 1
        switch scalar {
        case "d": return .digit
        case "D": return CharacterSet.digit.negated
        case "w": return .word
        case "W": return CharacterSet.word.negated
        case "s": return .space
        case "S": return CharacterSet.space.negated
        case "p", "P": return try property(isNegated: scalar == "P")
        case "t": return one(0x09)
        case "n": return one(0x0A)
        case "v": return one(0x0B)
        case "f": return one(0x0C)
        case "r": return one(0x0D)
        case "0": return one(0)
        case "x": return one(try hex(2))
        case "u":
            guard take("{") else { return one(try hex(4)) }
            var digits = 0
            while position + digits < scalars.count, scalars[position + digits] != "}" { digits += 1 }
            let value = try hex(digits)
            position += 1
            return one(value)
        case "a"..."z", "A"..."Z": throw PatternFault(reason: "the escape \\\(scalar) is not known")
        default: return one(scalar.value)
        }
    }

    private func one(_ value: UInt32) -> CharacterSet { CharacterSet(ranges: [value...value]) }

    private mutating func hex(_ count: Int) throws(PatternFault) -> UInt32 {
        let digits = String(String.UnicodeScalarView(scalars[position...].prefix(count)))
        guard count > 0, count <= 6, digits.utf8.count == count, let value = UInt32(digits, radix: 16) else {
            throw PatternFault(reason: "an escape with wrong hex digits")
        }
        position += count
        return value
    }

    private mutating func property(isNegated: Bool) throws(PatternFault) -> CharacterSet {
        var name = ""
        guard take("{") else { throw PatternFault(reason: "\\p without { }") }
        while let scalar = next, scalar != "}" {
            name.unicodeScalars.append(scalar)
            position += 1
        }
        guard take("}"), let categories = GeneralCategory.categories(named: name) else {
            throw PatternFault(
                reason:
                    "of \\p{…} only general categories such as L, Letter, Lu or Decimal_Number are supported")
        }
        return CharacterSet(categories: categories, isNegated: isNegated)
    }

    // MARK: - Instructions

    private mutating func emit(_ tree: Tree) throws(PatternFault) {
        // Counted separately, because a repetition of nothing emits no instruction.
        emitCount += 1
        guard out.count < Self.instructionCountMax, emitCount < Self.instructionCountMax * 10 else {
            throw PatternFault(reason: "the pattern is too large")
        }
        switch tree {
        case .empty: break
        case .set(let set): out.append(.character(set))
        case .assertion(let instruction): out.append(instruction)
        case .sequence(let parts): for part in parts { try emit(part) }
        case .choice(let branches):
            var exits: [Int] = []
            for branch in branches.dropLast() {
                let split = out.count
                out.append(.match)
                try emit(branch)
                exits.append(out.count)
                out.append(.match)
                out[split] = .split(split + 1, out.count)
            }
            if let last = branches.last { try emit(last) }
            for exit in exits { out[exit] = .jump(out.count) }
        case .repeated(let inner, let least, let most): try emitRepeated(inner, least, most)
        }
    }

    private mutating func emitRepeated(_ inner: Tree, _ least: Int, _ most: Int?) throws(PatternFault) {
        for _ in 0..<least { try emit(inner) }
        guard let most else {
            let split = out.count
            out.append(.match)
            try emit(inner)
            out.append(.jump(split))
            out[split] = .split(split + 1, out.count)
            return
        }
        var splits: [Int] = []
        for _ in least..<max(least, most) {
            splits.append(out.count)
            out.append(.match)
            try emit(inner)
        }
        for split in splits { out[split] = .split(split + 1, out.count) }
    }
}

extension CharacterSet {
    /// The only scalar in the set; nil if there are several.
    fileprivate var single: UInt32? {
        guard let range = ranges.first, ranges.count == 1, range.count == 1, !isNegated, inner.isEmpty,
            categories.isEmpty
        else { return nil }
        return range.lowerBound
    }
}
