package import Ports
package import Values

/// Why a template gives no key.
package enum KeyFault: Error, Hashable, Sendable {
    /// An expression in the text, counted from 1, gave null or an empty text.
    case missingPart(Int)
    case failed(ExpressionFailure)

    /// The fault as a clause, for people.
    package var message: String {
        switch self {
        case .missingPart(let number):
            "expression \(number) of the key is null or empty, so that one key would stand for many"
        case .failed(let failure): failure.message
        }
    }
}

extension Template {
    /// The value as a key: `order-<< x >>` without an `x` would be one key for whatever has none.
    ///
    /// An expression alone may give null, which says that there is no key.
    package func key(in scope: any ExpressionScope) throws(KeyFault) -> Value {
        guard case .text(let parts) = self else {
            do throws(ExpressionFailure) { return try value(in: scope) } catch { throw .failed(error) }
        }
        var text = ""
        var number = 0
        for part in parts {
            switch part {
            case .literal(let literal): text += literal
            case .expression(let expression):
                number += 1
                let value: Value
                do throws(ExpressionFailure) { value = try expression.evaluate(in: scope) } catch {
                    throw .failed(error)
                }
                if case .bytes = value { throw .failed(.notAValue(reason: "a key is text, not bytes")) }
                let added = value.text
                guard !added.isEmpty else { throw .missingPart(number) }
                text += added
            }
        }
        return .string(text)
    }
}
