/// Why a pattern cannot be used.
struct PatternFault: Error, Hashable {
    var reason: String
}

/// A regular expression whose matching time is linear in the text, times the pattern's own length.
///
/// It follows all paths through the pattern at once, one scalar at a time, without backtracking. It supports
/// the common part of ECMA-262's syntax in Unicode mode and searches anywhere in the text. Look-around and
/// back-references are refused, because they cannot be matched this way.
struct LinearPattern: Sendable {
    enum Instruction: Sendable {
        case character(CharacterSet)
        case split(Int, Int)
        case jump(Int)
        case start
        case end
        case wordBoundary(Bool)
        case match
    }

    let source: String
    private let program: [Instruction]

    init(_ source: String) throws(PatternFault) {
        var parser = PatternParser(source)
        self.source = source
        program = try parser.program()
    }

    /// The number of instructions; a step over one scalar runs each of them at most once.
    var size: Int { program.count }

    /// Whether the pattern occurs anywhere in `text`.
    func matches(_ text: String) -> Bool {
        let scalars = Array(text.unicodeScalars)
        var threads = ThreadList(count: program.count)
        var next = ThreadList(count: program.count)
        for position in 0...scalars.count {
            if add(0, to: &threads, scalars, position) { return true }
            guard position < scalars.count else { return false }
            next.removeAll()
            for index in threads.order {
                guard case .character(let set) = program[index], set.contains(scalars[position]) else {
                    continue
                }
                if add(index + 1, to: &next, scalars, position + 1) { return true }
            }
            swap(&threads, &next)
        }
        return false
    }

    /// Adds a thread and everything that it reaches without a scalar; true if that includes the end of the
    /// pattern.
    private func add(_ first: Int, to list: inout ThreadList, _ text: [Unicode.Scalar], _ position: Int)
        -> Bool
    {
        var pending = [first]
        while let index = pending.popLast() {
            guard list.insert(index) else { continue }
            switch program[index] {
            case .match: return true
            case .character: break
            case .jump(let target): pending.append(target)
            case .split(let left, let right): pending += [right, left]
            case .start: if position == 0 { pending.append(index + 1) }
            case .end: if position == text.count { pending.append(index + 1) }
            case .wordBoundary(let wanted):
                let before = position > 0 && CharacterSet.word.contains(text[position - 1])
                let after = position < text.count && CharacterSet.word.contains(text[position])
                if (before != after) == wanted { pending.append(index + 1) }
            }
        }
        return false
    }

    private struct ThreadList {
        private(set) var order: [Int] = []
        private var isIn: [Bool]

        init(count: Int) { isIn = Array(repeating: false, count: count) }

        mutating func insert(_ index: Int) -> Bool {
            if isIn[index] { return false }
            isIn[index] = true
            order.append(index)
            return true
        }

        mutating func removeAll() {
            for index in order { isIn[index] = false }
            order.removeAll(keepingCapacity: true)
        }
    }
}

/// A set of scalars that one position of a pattern accepts.
struct CharacterSet: Sendable {
    var ranges: [ClosedRange<UInt32>] = []
    var inner: [CharacterSet] = []
    /// Prefixes of general categories, such as `L` or `Nd`.
    var categories: [String] = []
    var isNegated = false

    static let digit = CharacterSet(ranges: [0x30...0x39])
    static let word = CharacterSet(ranges: [0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A])
    static let space = CharacterSet(ranges: [
        0x09...0x0D, 0x20...0x20, 0xA0...0xA0, 0x1680...0x1680, 0x2000...0x200A, 0x2028...0x2029,
        0x202F...0x202F,
        0x205F...0x205F, 0x3000...0x3000, 0xFEFF...0xFEFF,
    ])
    static let lineEnd = CharacterSet(ranges: [0x0A...0x0A, 0x0D...0x0D, 0x2028...0x2029])

    var negated: CharacterSet {
        var copy = self
        copy.isNegated.toggle()
        return copy
    }

    func contains(_ scalar: Unicode.Scalar) -> Bool {
        let isIn =
            ranges.contains { $0.contains(scalar.value) } || inner.contains { $0.contains(scalar) }
            || (!categories.isEmpty && categories.contains { Self.category(of: scalar).hasPrefix($0) })
        return isIn != isNegated
    }

    private static func category(of scalar: Unicode.Scalar) -> String {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter: "Lu"
        case .lowercaseLetter: "Ll"
        case .titlecaseLetter: "Lt"
        case .modifierLetter: "Lm"
        case .otherLetter: "Lo"
        case .decimalNumber: "Nd"
        case .letterNumber: "Nl"
        case .otherNumber: "No"
        case .nonspacingMark: "Mn"
        case .spacingMark: "Mc"
        case .enclosingMark: "Me"
        case .connectorPunctuation: "Pc"
        case .dashPunctuation: "Pd"
        case .openPunctuation: "Ps"
        case .closePunctuation: "Pe"
        case .initialPunctuation: "Pi"
        case .finalPunctuation: "Pf"
        case .otherPunctuation: "Po"
        case .mathSymbol: "Sm"
        case .currencySymbol: "Sc"
        case .modifierSymbol: "Sk"
        case .otherSymbol: "So"
        case .spaceSeparator: "Zs"
        case .lineSeparator: "Zl"
        case .paragraphSeparator: "Zp"
        case .control: "Cc"
        case .format: "Cf"
        case .surrogate: "Cs"
        case .privateUse: "Co"
        default: "Cn"
        }
    }
}
