import Values
package import Workflow

/// One place where what happened is not what a case expects.
package struct Difference: Sendable, Hashable {
    /// `output.status`, `requests[1].body.amount`.
    package var path: String
    package var mark: Mark
    /// As text; nil where there should be nothing.
    package var expected: String?
    package var actual: String?
    package var hint: String?

    package init(
        path: String, mark: Mark, expected: String? = nil, actual: String? = nil, hint: String? = nil
    ) {
        self.path = path
        self.mark = mark
        self.expected = expected
        self.actual = actual
        self.hint = hint
    }
}

/// Compares values member by member, so that each difference has its own path.
struct Comparison {
    let mark: Mark
    private(set) var differences: [Difference] = []

    init(mark: Mark) { self.mark = mark }

    /// The order of members does not matter, and `1.0` is `1`.
    mutating func compare(_ expected: Value, _ actual: Value, at path: String) {
        switch (expected, actual) {
        case (.object(let wanted), .bytes):
            let isSame = Value.object(wanted).givenBytes == actual.content
            if !isSame { add(path, JSON.text(expected), JSON.text(actual)) }
        case (.object(let wanted), .object(let found)):
            for member in wanted.members {
                let inner = "\(path).\(member.name)"
                if let value = found[member.name] {
                    compare(member.value, value, at: inner)
                } else {
                    add(inner, JSON.text(member.value), nil)
                }
            }
            for member in found.members where wanted[member.name] == nil {
                add("\(path).\(member.name)", nil, JSON.text(member.value))
            }
        case (.array(let wanted), .array(let found)):
            for index in 0..<max(wanted.count, found.count) {
                let inner = "\(path)[\(index)]"
                if index >= wanted.count {
                    add(inner, nil, JSON.text(found[index]))
                } else if index >= found.count {
                    add(inner, JSON.text(wanted[index]), nil)
                } else {
                    compare(wanted[index], found[index], at: inner)
                }
            }
        default:
            if !Self.isSame(expected, actual) { add(path, JSON.text(expected), JSON.text(actual)) }
        }
    }

    mutating func compare(_ expected: String?, _ actual: String?, at path: String, hint: String? = nil) {
        if expected != actual { add(path, expected, actual, hint: hint) }
    }

    mutating func add(_ path: String, _ expected: String?, _ actual: String?, hint: String? = nil) {
        differences.append(
            Difference(path: path, mark: mark, expected: expected, actual: actual, hint: hint))
    }

    private static func isSame(_ left: Value, _ right: Value) -> Bool {
        if left == right { return true }
        guard let expected = DecimalNumber(left), let actual = DecimalNumber(right) else { return false }
        return expected == actual
    }
}
