/// A JSON number without rounding: `digits × 10^exponent`.
package struct DecimalNumber: Hashable, Sendable {
    package private(set) var isNegative = false
    /// Values 0 to 9 without leading or trailing zeros; empty for zero.
    package private(set) var digits: [UInt8] = []
    package private(set) var exponent = 0

    package init?(_ value: Value) {
        switch value {
        case .int(let number): self.init(text: String(number))
        case .number(let text): self.init(text: text)
        default: return nil
        }
    }

    /// Parses a number in JSON's syntax; an exponent beyond ±10^9 is clamped.
    package init(text: String) {
        var rest = Substring(text)
        if rest.first == "-" {
            isNegative = true
            rest = rest.dropFirst()
        }
        let mantissa = rest.prefix { $0 != "e" && $0 != "E" }
        let power = rest.dropFirst(mantissa.count + 1).drop { $0 == "+" }
        if !power.isEmpty {
            let limit = 1_000_000_000
            exponent = max(-limit, min(limit, Int(power) ?? (power.first == "-" ? -limit : limit)))
        }
        var isFraction = false
        for byte in mantissa.utf8 {
            if byte == UInt8(ascii: ".") {
                isFraction = true
            } else {
                digits.append(byte &- UInt8(ascii: "0"))
                if isFraction { exponent -= 1 }
            }
        }
        digits = Array(digits.drop { $0 == 0 })
        while digits.last == 0 {
            digits.removeLast()
            exponent += 1
        }
        if digits.isEmpty { (isNegative, exponent) = (false, 0) }
    }

    package var isInteger: Bool { exponent >= 0 }
    package var isPositive: Bool { !isNegative && !digits.isEmpty }

    /// The number without an exponent, such as `1000` for `1e3`; nil if it exceeds 400 digits or an exponent
    /// of ±400.
    package var plainText: String? {
        guard digits.count <= 400, exponent.magnitude <= 400 else { return nil }
        var text = digits.map { String($0) }.joined()
        if exponent >= 0 {
            text = text.isEmpty ? "0" : text + String(repeating: "0", count: exponent)
        } else {
            text = String(repeating: "0", count: max(0, 1 - exponent - text.utf8.count)) + text
            text = "\(text.dropLast(-exponent)).\(text.suffix(-exponent))"
        }
        return isNegative ? "-" + text : text
    }

    /// A text that is the same for equal numbers, whatever their spelling.
    package var canonical: String {
        "\(isNegative ? "-" : "")\(digits.map { String($0) }.joined())e\(exponent)"
    }

    package static func < (left: DecimalNumber, right: DecimalNumber) -> Bool {
        if left.isNegative != right.isNegative { return left.isNegative }
        return left.isNegative ? right.hasSmallerMagnitude(than: left) : left.hasSmallerMagnitude(than: right)
    }

    private func hasSmallerMagnitude(than other: DecimalNumber) -> Bool {
        if digits.isEmpty || other.digits.isEmpty { return digits.isEmpty && !other.digits.isEmpty }
        let (size, otherSize) = (digits.count + exponent, other.digits.count + other.exponent)
        return size == otherSize ? digits.lexicographicallyPrecedes(other.digits) : size < otherSize
    }

    /// Whether this number is a multiple of `divisor`.
    ///
    /// Exact if the divisor has at most 17 digits, which the schema compiler ensures; false if it has more.
    package func isMultiple(of divisor: DecimalNumber) -> Bool {
        if digits.isEmpty { return true }
        // A number without trailing zeros is no multiple of one with a higher power of ten.
        guard exponent >= divisor.exponent, divisor.digits.count <= 17, !divisor.digits.isEmpty else {
            return false
        }
        let modulus = divisor.digits.reduce(UInt64(0)) { $0 * 10 + UInt64($1) }
        var remainder: UInt64 = 0
        for digit in digits { remainder = (remainder * 10 + UInt64(digit)) % modulus }
        return Self.product(
            remainder, Self.powerOfTen(exponent - divisor.exponent, modulo: modulus), modulo: modulus) == 0
    }

    private static func product(_ left: UInt64, _ right: UInt64, modulo modulus: UInt64) -> UInt64 {
        let wide = (left % modulus).multipliedFullWidth(by: right % modulus)
        return modulus.dividingFullWidth(wide).remainder
    }

    private static func powerOfTen(_ power: Int, modulo modulus: UInt64) -> UInt64 {
        var (result, factor, left) = (1 % modulus, 10 % modulus, power)
        while left > 0 {
            if left & 1 == 1 { result = product(result, factor, modulo: modulus) }
            factor = product(factor, factor, modulo: modulus)
            left >>= 1
        }
        return result
    }
}
