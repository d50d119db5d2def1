import Values

/// A number as Lua sees it, compared as Lua compares: exactly, also across the two kinds.
enum LuaNumber {
    case integer(Int64)
    case float(Double)

    init?(_ value: Value) {
        switch value {
        case .int(let number): self = .integer(number)
        case .number(let text):
            guard let number = Double(text) else { return nil }
            self = .float(number)
        default: return nil
        }
    }

    func equals(_ other: LuaNumber) -> Bool {
        switch (self, other) {
        case (.integer(let left), .integer(let right)): left == right
        case (.float(let left), .float(let right)): left == right
        case (.integer(let left), .float(let right)): Int64(exactly: right) == left
        case (.float(let left), .integer(let right)): Int64(exactly: left) == right
        }
    }

    func isLess(_ other: LuaNumber) -> Bool {
        switch (self, other) {
        case (.integer(let left), .integer(let right)): left < right
        case (.float(let left), .float(let right)): left < right
        // A whole number is below a float when it is below its ceiling.
        case (.integer(let left), .float(let right)): Self.order(right.rounded(.up), against: left) > 0
        case (.float(let left), .integer(let right)): Self.order(left.rounded(.down), against: right) < 0
        }
    }

    func isLessOrEqual(_ other: LuaNumber) -> Bool { isLess(other) || equals(other) }

    /// -1, 0 or 1 for a whole float below, at or above an integer.
    private static func order(_ whole: Double, against integer: Int64) -> Int {
        if let exact = Int64(exactly: whole) { return exact < integer ? -1 : exact > integer ? 1 : 0 }
        return whole < 0 ? -1 : 1
    }
}
