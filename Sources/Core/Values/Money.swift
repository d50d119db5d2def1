/// Amounts between the text that providers use (`10.00`) and whole minor units, without rounding.
package enum Money {
    package enum Problem: Error {
        case notAnAmount, tooPrecise(digits: Int), tooLarge

        package var message: String {
            switch self {
            case .notAnAmount: "this is no amount such as 10.00"
            case .tooPrecise(let digits): "the amount has more than \(digits) decimals"
            case .tooLarge: "the amount is too large"
            }
        }
    }

    /// How many decimals a currency has by ISO 4217, which is 2 for those that are not listed here.
    ///
    /// - Parameter currency: Three capital letters, such as `EUR`.
    /// - Returns: 0 to 4.
    package static func digits(of currency: String) -> Int {
        switch currency {
        case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV",
            "XAF", "XOF", "XPF":
            0
        case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND": 3
        case "CLF", "UYW": 4
        default: 2
        }
    }

    /// Whole minor units of an amount: 1050 for `10.5` with two digits.
    ///
    /// Zeros past the digits are allowed, anything else there is refused.
    package static func minorUnits(of text: String, digits: Int) throws(Problem) -> Int64 {
        var bytes = Array(text.utf8)[...]
        let isNegative = bytes.first == UInt8(ascii: "-")
        if isNegative { bytes = bytes.dropFirst() }
        let parts = bytes.split(separator: UInt8(ascii: "."), maxSplits: 1, omittingEmptySubsequences: false)
        let decimals = parts.count > 1 ? Array(parts[1]) : []
        let isWellFormed =
            !parts[0].isEmpty && (parts.count == 1 || !decimals.isEmpty)
            && (parts[0] + decimals).allSatisfy { (0x30...0x39).contains($0) }
        guard isWellFormed else { throw .notAnAmount }
        guard decimals.dropFirst(digits).allSatisfy({ $0 == UInt8(ascii: "0") }) else {
            throw .tooPrecise(digits: digits)
        }
        let padding = [UInt8](repeating: UInt8(ascii: "0"), count: max(0, digits - decimals.count))
        var sum: Int64 = 0
        for byte in parts[0] + decimals.prefix(digits) + padding {
            let (product, overflowed) = sum.multipliedReportingOverflow(by: 10)
            let (next, overflowedToo) = product.subtractingReportingOverflow(Int64(byte - UInt8(ascii: "0")))
            if overflowed || overflowedToo { throw .tooLarge }
            sum = next
        }
        // Counted below zero, where there is one number more.
        if isNegative { return sum }
        guard sum != .min else { throw .tooLarge }
        return -sum
    }

    /// 1050 with two digits is `10.50`.
    package static func text(minorUnits: Int64, digits: Int) -> String {
        var number = String(minorUnits.magnitude)
        if digits > 0 {
            number = String(repeating: "0", count: max(0, digits + 1 - number.utf8.count)) + number
            number = "\(number.dropLast(digits)).\(number.suffix(digits))"
        }
        return minorUnits < 0 ? "-\(number)" : number
    }
}
