import Testing
import Values
import Workflow

@testable import WorkflowTesting

@Suite("Comparing what a case expects")
struct ComparisonTests {
    private static func differences(_ expected: Value, _ actual: Value) -> [String] {
        var comparison = Comparison(mark: Mark(line: 1, column: 1))
        comparison.compare(expected, actual, at: "output")
        return comparison.differences.map(\.path)
    }

    @Test(
        "numbers that differ in any digit are different",
        arguments: [
            (.number("18446744073709551615"), .number("18446744073709551616")),
            (.number("1e400"), .number("2e400")),
            (.int(9_007_199_254_740_993), .number("9007199254740992.0")),
            (.number("12345678901234567.5"), .number("12345678901234567.6")),
            (1, .number("1.0000000000000000001")),
        ] as [(Value, Value)])
    func different(left: Value, right: Value) {
        #expect(Self.differences(["id": left], ["id": right]) == ["output.id"])
        #expect(Self.differences([right], [left]) == ["output[0]"])
    }

    @Test(
        "spellings of one number are the same",
        arguments: [
            (1, .number("1.0")), (.number("12.50"), .number("12.5")), (100, .number("1e2")),
            (0, .number("-0")),
            (.number("1e400"), .number("10E399")),
        ] as [(Value, Value)])
    func same(left: Value, right: Value) {
        #expect(Self.differences(left, right).isEmpty && Self.differences(right, left).isEmpty)
    }

    @Test("a number is not its text")
    func kinds() {
        #expect(Self.differences(1, "1") == ["output"])
        #expect(Self.differences(.number("1.5"), "1.5") == ["output"])
        #expect(Self.differences(0, false) == ["output"] && Self.differences(0, nil) == ["output"])
    }
}
