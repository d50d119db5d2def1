import Ports
import Testing
import Values

@testable import LuaExpressions

@Suite("Money")
struct MoneyTests {
    static let exact: [(String, Value)] = [
        ("money.to_minor('10.00')", 1000), ("money.to_minor('0.29')", 29), ("money.to_minor('1.10', 2)", 110),
        ("money.to_minor('5', 0)", 5), ("money.to_minor('1.234', 3)", 1234),
        ("money.to_minor('1.2300')", 123),
        ("money.to_minor('500', 'JPY')", 500), ("money.to_minor('1.5', 'KWD')", 1500),
        ("money.to_minor('1.5', 'EUR')", 150), ("money.from_minor(7, 'JPY')", "7"),
        ("money.to_minor('-0.05')", -5), ("money.to_minor(12)", 1200), ("money.to_minor(1.15)", 115),
        ("money.to_minor('92233720368547758.07')", .int(.max)), ("money.from_minor(1000)", "10.00"),
        ("money.from_minor(5)", "0.05"), ("money.from_minor(-5)", "-0.05"), ("money.from_minor(5, 0)", "5"),
        ("money.from_minor(1234, 3)", "1.234"),
        ("money.from_minor(math.mininteger)", "-92233720368547758.08"),
        ("money.to_minor('-92233720368547758.08') == math.mininteger", true),
    ]

    @Test("amounts are exact", arguments: exact)
    func isExact(source: String, expected: Value) throws {
        #expect(try Bench.evaluate(source) == expected)
    }

    static let refused = [
        "'10.005'", "''", "'.5'", "'5.'", "'1e3'", "'+1'", "' 1'", "'1,00'", "'--1'", "'1.2.3'", "'0x10'",
        "'92233720368547758.08'", "'99999999999999999999'", "'１'", "{}", "nil", "true", "1/0", "0/0", "1.005",
    ]

    @Test("what is no exact amount is refused", arguments: refused)
    func refuses(amount: String) throws {
        #expect(try Bench.raised("(money.to_minor(\(amount)))").contains("money.to_minor"))
    }

    @Test("a currency is three capital letters", arguments: ["eur", "EURO", "", "€UR", "E R"])
    func refusesCurrency(currency: String) throws {
        #expect(try Bench.raised("money.to_minor('1', '\(currency)')").contains("three capital letters"))
    }

    @Test("every amount of cents survives the way to text and back")
    func roundTrips() throws {
        let source = """
            for i = -2500, 2500, 7 do
                if money.to_minor(money.from_minor(i)) != i then return i end
            end
            return 'ok'
            """
        #expect(try Bench.evaluate(source) == "ok")
    }
}
