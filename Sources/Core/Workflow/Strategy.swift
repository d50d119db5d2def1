package import Ports
package import Values

/// How often a step runs, for what, and how many at a time.
package struct Strategy: Sendable {
    package enum Kind: String, Sendable, CaseIterable {
        /// Every item must succeed.
        case fanOut = "fan_out"
        /// The same, and each item is a list of several elements.
        case batch
        /// Every item runs, whatever becomes of the others.
        case scatter
        /// The first item that succeeds settles the step.
        case race
    }

    package var kind: Kind
    /// Gives a list, a map or a whole number.
    package var over: Template
    /// What expressions call an item.
    package var itemName: String
    /// Items at a time, 1 to 1,000.
    package var concurrency: Int
    /// Elements in one item of a batch; 1 for all else.
    package var size: Int
    /// Asked after each item, one item at a time; true leaves the loop.
    package var until: (any CompiledExpression)?

    package init(
        kind: Kind, over: Template, itemName: String = "item", concurrency: Int = 16, size: Int = 1,
        until: (any CompiledExpression)? = nil
    ) {
        self.kind = kind
        self.over = over
        self.itemName = itemName
        self.concurrency = concurrency
        self.size = size
        self.until = until
    }

    /// Whether one item runs at a time, so that each can see the result of the one before.
    package var isLoop: Bool { concurrency == 1 }

    /// Elements that one step takes at most.
    package static let elementCountMax = 100_000

    /// How many items the value of `over` makes.
    ///
    /// - Returns: Nil for what is no list, no map and no whole number from 0.
    package func itemCount(_ over: Value) -> Int? {
        let elements: Int
        switch over {
        case .array(let items): elements = items.count
        case .object(let object): elements = object.count
        case .int(let number) where number >= 0: elements = Int(clamping: number)
        default: return nil
        }
        return elements / size + (elements % size == 0 ? 0 : 1)
    }

    /// The item of that number, from 1, of the value of `over`; null where there is none.
    package func item(_ number: Int, of over: Value) -> Value {
        guard kind == .batch else { return Self.element(number, of: over) }
        let (first, last) = ((number - 1) * size + 1, number * size)
        let count: Int
        switch over {
        case .array(let items): count = items.count
        case .object(let object): count = object.count
        case .int(let number): count = Int(clamping: number)
        default: count = 0
        }
        guard first >= 1, first <= count else { return .null }
        return .array((first...min(last, count)).map { Self.element($0, of: over) })
    }

    private static func element(_ number: Int, of over: Value) -> Value {
        switch over {
        case .array(let items) where items.indices.contains(number - 1): return items[number - 1]
        case .object(let object) where object.members.indices.contains(number - 1):
            let member = object.members[number - 1]
            return ["key": .string(member.name), "value": member.value]
        case .int: return .int(Int64(number))
        default: return .null
        }
    }
}

/// Steps with a scope of their own.
package struct StepGroup: Sendable {
    package var scope: StepScope
    /// The group's output, evaluated when all its steps are settled; nil for null.
    package var output: Template?

    package init(scope: StepScope, output: Template? = nil) {
        self.scope = scope
        self.output = output
    }
}
