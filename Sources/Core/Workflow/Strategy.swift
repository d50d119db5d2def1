package import Ports
package import Values

/// How a step is repeated over items.
package struct Strategy: Sendable {
    package enum Kind: String, Sendable, CaseIterable {
        /// Every item must succeed.
        case fanOut = "fan_out"
        /// Like `fanOut`, but each item is a list of several elements.
        case batch
        /// Every item runs, even if others fail.
        case scatter
        /// The first item that succeeds settles the step.
        case race
    }

    package var kind: Kind
    /// Must evaluate to a list, a map or a whole number.
    package var over: Template
    /// The name of an item in expressions.
    package var itemName: String
    /// Items that run at once, 1 to 1,000.
    package var concurrency: Int
    /// Elements per item of a batch; otherwise 1.
    package var size: Int
    /// Evaluated after each item if one item runs at a time; true ends the loop.
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

    /// Whether one item runs at a time, so that each can read the previous result.
    package var isLoop: Bool { concurrency == 1 }

    /// Most elements of one step.
    package static let elementCountMax = 100_000

    /// The number of items for a value of `over`.
    ///
    /// - Returns: Nil if the value is no list, no map and no whole number from 0.
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

    /// The item with a number from 1 for a value of `over`; null if there is none.
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

/// A group of steps with a scope of its own.
package struct StepGroup: Sendable {
    package var scope: StepScope
    /// The group's output, evaluated once all its steps are settled; null if there is none.
    package var output: Template?

    package init(scope: StepScope, output: Template? = nil) {
        self.scope = scope
        self.output = output
    }
}
