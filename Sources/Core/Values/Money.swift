/// Conversions between amounts as text (`10.00`) and whole minor units, without rounding.
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

    /// The number of decimals of a currency by ISO 4217.
    ///
    /// - Parameter currency: Three capital letters, such as `EUR`.
    /// - Returns: 0 to 4; nil if the code is unknown, as a misspelt one is.
    package static func digits(of currency: String) -> Int? {
        for (digits, codes) in codesByDigits where codes.contains(currency) { return digits }
        return nil
    }

    /// All codes in use, and those withdrawn since 2022, because refunds of older payments still use them.
    private static let codesByDigits: [(digits: Int, codes: Set<String>)] = [
        (
            2,
            words(
                """
                AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD
                CAD CDF CHE CHF CHW CNY COP COU CRC CUC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL
                GHS GIP GMD GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR
                LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB
                PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP
                SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG ZWL
                """)
        ),
        (0, words("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF")),
        (3, words("BHD IQD JOD KWD LYD OMR TND")), (4, words("CLF UYW")),
    ]

    private static func words(_ list: String) -> Set<String> {
        Set(list.split { $0 == " " || $0 == "\n" }.map { String($0) })
    }

    /// The minor units of an amount, such as 1050 for `10.5` with two digits.
    ///
    /// - Throws: ``Problem`` for a malformed amount, one beyond 64 bits, or decimals past `digits` other than
    ///   zeros.
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
        // Summed as a negative number, because that range is larger by one.
        if isNegative { return sum }
        guard sum != .min else { throw .tooLarge }
        return -sum
    }

    /// The amount as text, such as `10.50` for 1050 with two digits.
    package static func text(minorUnits: Int64, digits: Int) -> String {
        var number = String(minorUnits.magnitude)
        if digits > 0 {
            number = String(repeating: "0", count: max(0, digits + 1 - number.utf8.count)) + number
            number = "\(number.dropLast(digits)).\(number.suffix(digits))"
        }
        return minorUnits < 0 ? "-\(number)" : number
    }
}
