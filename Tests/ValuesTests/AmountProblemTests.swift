import Testing
import Values

@Suite("Amounts that are none")
struct AmountProblemTests {
    @Test("what is no amount, is too precise or too large is told apart")
    func problems() {
        func message(_ text: String, digits: Int = 2) -> String? {
            do throws(Money.Problem) {
                _ = try Money.minorUnits(of: text, digits: digits)
                return nil
            } catch {
                return error.message
            }
        }
        #expect(message("ten") == Money.Problem.notAnAmount.message)
        #expect(message("10.005") == Money.Problem.tooPrecise(digits: 2).message)
        #expect(message("10.05") == nil)
    }
}
