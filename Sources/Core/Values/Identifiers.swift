/// The kind of an identifier, with the prefix of its text form.
package protocol IdentifierKind: Sendable {
    static var prefix: String { get }
}

/// A 63-bit number, written as a prefix and 13 digits of Crockford's base 32: `run_01jq4x3v9k2mt`.
///
/// A plain number keeps rows, indexes and memory small; text order equals number order.
package struct Identifier<Kind: IdentifierKind>: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// At least 0.
    package let number: Int64

    /// - Precondition: `number` is not negative.
    package init(number: Int64) {
        precondition(number >= 0, "identifiers are not negative")
        self.number = number
    }

    /// Parses `prefix_digits`; nil for anything else.
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        let prefix = Array(Kind.prefix.utf8)
        guard bytes.count == prefix.count + 14, bytes.starts(with: prefix),
            bytes[prefix.count] == UInt8(ascii: "_")
        else { return nil }
        var number: UInt64 = 0
        for byte in bytes[(prefix.count + 1)...] {
            guard let digit = Crockford.digit(byte) else { return nil }
            number = number << 5 | UInt64(digit)
        }
        guard let exact = Int64(exactly: number), bytes[prefix.count + 1] <= UInt8(ascii: "7") else {
            return nil
        }
        self.number = exact
    }

    package var description: String {
        let prefix = Kind.prefix.utf8
        return String(unsafeUninitializedCapacity: prefix.count + 14) { text in
            var end = text.initialize(fromContentsOf: prefix)
            text[end] = UInt8(ascii: "_")
            for position in 0..<13 {
                end += 1
                text[end] = Crockford.digits[Int(number >> Int64(60 - 5 * position) & 31)]
            }
            return end + 1
        }
    }

    package static func < (left: Self, right: Self) -> Bool { left.number < right.number }
}

/// The kind of a ``TenantID``.
package enum TenantKind: IdentifierKind { package static var prefix: String { "ten" } }
/// The kind of a ``RunID``.
package enum RunKind: IdentifierKind { package static var prefix: String { "run" } }
/// The kind of a ``KeyID``.
package enum KeyKind: IdentifierKind { package static var prefix: String { "key" } }
/// The kind of a ``PurchaseID``.
package enum PurchaseKind: IdentifierKind { package static var prefix: String { "pur" } }

package typealias TenantID = Identifier<TenantKind>
/// Milliseconds since 2020 in the upper 43 bits, then a counter: ids of one node rise with time.
package typealias RunID = Identifier<RunKind>
package typealias KeyID = Identifier<KeyKind>
package typealias PurchaseID = Identifier<PurchaseKind>

extension Identifier where Kind == TenantKind {
    /// The operator, a tenant like any other except that it is not metered.
    package static var operatorTenant: TenantID { TenantID(number: 1) }
}

/// The digits of Crockford's base 32, in lower case.
package enum Crockford {
    fileprivate static let digits = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)

    /// The first `count` digits of the bytes read as one number, highest digit first.
    ///
    /// - Precondition: There are at least 5 bits per digit.
    package static func text(_ bytes: [UInt8], digitCount count: Int) -> String {
        precondition(bytes.count * 8 >= count * 5, "too few bytes for so many digits")
        let digits = (0..<count).map { position -> UInt8 in
            let bits = (0..<5).reduce(0) { value, offset in
                let bit = position * 5 + offset
                return value << 1 | Int(bytes[bit / 8] >> (7 - bit % 8) & 1)
            }
            return Self.digits[bits]
        }
        return String(decoding: digits, as: UTF8.self)
    }

    fileprivate static func digit(_ byte: UInt8) -> UInt8? {
        guard let index = digits.firstIndex(of: byte) else { return nil }
        return UInt8(index)
    }
}
