import Ports
import Values

/// A plain path, literal, comparison, or `and`/`or`/`not` of these, evaluated without Lua.
///
/// It gives a result only if that is certain to be Lua's. In all other cases, errors included, it gives nil,
/// and the caller runs the source in Lua.
indirect enum FastExpression: Sendable {
    enum Step: Sendable {
        case name(String)
        /// A position, counted from 1.
        case index(Int64)
    }

    enum Comparison: Sendable {
        case equal, unequal, less, lessOrEqual, greater, greaterOrEqual
    }

    case literal(Value)
    case path(root: String, [Step])
    case not(FastExpression)
    case and(FastExpression, FastExpression)
    case or(FastExpression, FastExpression)
    case compare(Comparison, FastExpression, FastExpression)

    func evaluate(in scope: any ExpressionScope) -> ScopeNode? {
        switch self {
        case .literal(let value): return .value(value)
        case .path(let root, let steps): return Self.walk(root, steps, in: scope)
        case .not(let operand):
            return operand.evaluate(in: scope).map { .value(.bool(!Self.isTrue($0))) }
        case .and(let left, let right):
            guard let first = left.evaluate(in: scope) else { return nil }
            return Self.isTrue(first) ? right.evaluate(in: scope) : first
        case .or(let left, let right):
            guard let first = left.evaluate(in: scope) else { return nil }
            return Self.isTrue(first) ? first : right.evaluate(in: scope)
        case .compare(let comparison, let left, let right):
            guard case .value(let first)? = left.evaluate(in: scope),
                case .value(let second)? = right.evaluate(in: scope)
            else { return nil }
            return Self.compare(comparison, first, second).map { .value(.bool($0)) }
        }
    }

    private static func isTrue(_ node: ScopeNode) -> Bool {
        switch node {
        case .value(.null), .value(.bool(false)): false
        default: true
        }
    }

    // MARK: - Paths

    private static func walk(_ root: String, _ steps: [Step], in scope: any ExpressionScope) -> ScopeNode? {
        do throws(ExpressionFailure) {
            guard var node = try scope.member(root) else { return nil }
            for step in steps {
                guard let next = try member(step, of: node) else { return nil }
                node = next
            }
            return node
        } catch {
            return nil
        }
    }

    /// The member, or null if there is none; nil if only Lua can decide.
    private static func member(_ step: Step, of node: ScopeNode) throws(ExpressionFailure) -> ScopeNode? {
        switch (node, step) {
        case (.value(.null), _): return .value(.null)
        case (.value(.object(let object)), .name(let name)): return .value(object[name] ?? .null)
        case (.value(.array(let items)), .index(let position)):
            guard position >= 1, position <= items.count else { return .value(.null) }
            return .value(items[Int(position) - 1])
        case (.value(.object), .index), (.value(.array), .name), (.branch, .index): return .value(.null)
        case (.branch(let branch), .name(let name)): return try branch.member(name) ?? .value(.null)
        default: return nil
        }
    }

    // MARK: - Comparing

    private static func compare(_ comparison: Comparison, _ left: Value, _ right: Value) -> Bool? {
        switch comparison {
        case .equal: return equals(left, right)
        case .unequal: return equals(left, right).map { !$0 }
        case .less: return isLess(left, right, orEqual: false)
        case .lessOrEqual: return isLess(left, right, orEqual: true)
        case .greater: return isLess(right, left, orEqual: false)
        case .greaterOrEqual: return isLess(right, left, orEqual: true)
        }
    }

    private static func equals(_ left: Value, _ right: Value) -> Bool? {
        switch (left, right) {
        case (.array, _), (.object, _), (_, .array), (_, .object): return nil
        case (.bytes(let first), .bytes(let second)): return first == second
        case (.string(let first), .string(let second)): return first.hasSameBytes(as: second)
        case (.int(let first), .int(let second)): return first == second
        case (.int, .number), (.number, .int), (.number, .number):
            return LuaNumber(left).flatMap { first in LuaNumber(right).map { first.equals($0) } }
        case (.bool(let first), .bool(let second)): return first == second
        case (.null, .null): return true
        default: return false
        }
    }

    private static func isLess(_ left: Value, _ right: Value, orEqual: Bool) -> Bool? {
        switch (left, right) {
        case (.int(let first), .int(let second)): return orEqual ? first <= second : first < second
        case (.int, .number), (.number, .int), (.number, .number):
            guard let first = LuaNumber(left), let second = LuaNumber(right) else { return nil }
            return orEqual ? first.isLessOrEqual(second) : first.isLess(second)
        // Lua compares texts by the C library's locale.
        default: return nil
        }
    }
}
