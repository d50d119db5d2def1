package import Ports
package import Values

/// Why a template yields no key.
package enum KeyFault: Error, Hashable, Sendable {
    /// An expression in the text, counted from 1, was null or empty.
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
    /// The value as a key; a text with a missing part is refused, because it would be one key for many
    /// events.
    ///
    /// A single expression may be null, which means that there is no key.
    ///
    /// - Throws: ``KeyFault`` if a part is null, empty (a text, a list or a map), blank or bytes, or its evaluation fails.
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
                if value.array?.isEmpty == true || value.object?.members.isEmpty == true {
                    throw .missingPart(number)
                }
                let added = value.text
                // Blanks identify nothing, and a header's value loses the blanks at its ends.
                guard !added.utf8.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) else { throw .missingPart(number) }
                text += added
            }
        }
        return .string(text)
    }
}
