package import Ports
package import Values

/// Why a template yields no key.
package enum KeyFault: Error, Hashable, Sendable {
    /// An expression in the text, counted from 1, was null or empty.
    case missingPart(Int)
    /// The member of that path, of which an expression composes its value, was missing, null or empty.
    case missingMember(String)
    case failed(ExpressionFailure)

    package var isMissingPart: Bool {
        switch self {
        case .missingPart, .missingMember: true
        case .failed: false
        }
    }

    /// The fault as a clause, for people.
    package var message: String {
        switch self {
        case .missingPart(let number):
            "expression \(number) of the key is null or empty, so that one key would stand for many"
        case .missingMember(let path):
            "`\(path)` is missing, null or empty, so that one key would stand for many"
        case .failed(let failure): failure.message
        }
    }
}

extension Template {
    /// The value as a key; a text with a missing part is refused, because it would be one key for many
    /// events.
    ///
    /// A single expression may be null, which means that there is no key. An expression that composes its value, as
    /// `tostring(x)` does, needs every member that it reads; one that chooses, as `x or y` does, needs one of
    /// them.
    ///
    /// - Throws: ``KeyFault`` if a part is null, empty (a text, a list or a map), blank or bytes, or made of members that
    ///   are missing, or its evaluation fails.
    package func key(in scope: any ExpressionScope) throws(KeyFault) -> Value {
        guard case .text(let parts) = self else {
            guard case .expression(let expression) = self else {
                do throws(ExpressionFailure) { return try value(in: scope) } catch { throw .failed(error) }
            }
            let whole = try Self.value(of: expression, in: scope)
            if !whole.isNull, whole != "" { try Self.check(expression.composition, in: scope) }
            return whole
        }
        var text = ""
        var number = 0
        for part in parts {
            switch part {
            case .literal(let literal): text += literal
            case .expression(let expression):
                number += 1
                let value = try Self.value(of: expression, in: scope)
                if case .bytes = value { throw .failed(.notAValue(reason: "a key is text, not bytes")) }
                if value.array?.isEmpty == true || value.object?.members.isEmpty == true {
                    throw .missingPart(number)
                }
                let added = value.text
                // Blanks identify nothing, and a header's value loses the blanks at its ends.
                guard !added.utf8.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) else { throw .missingPart(number) }
                try Self.check(expression.composition, in: scope)
                text += added
            }
        }
        return .string(text)
    }

    private static func value(
        of expression: any CompiledExpression, in scope: any ExpressionScope
    ) throws(KeyFault) -> Value {
        do throws(ExpressionFailure) { return try expression.evaluate(in: scope) } catch {
            // An operator that fails on a missing member does not say which one it is.
            if case .raised = error { try check(expression.composition, in: scope) }
            throw .failed(error)
        }
    }

    private static func check(
        _ composition: ExpressionComposition, in scope: any ExpressionScope
    ) throws(KeyFault) {
        guard composition.rule != .isPath else { return }
        // A secret is there, or reading it fails.
        let paths = composition.paths.filter { $0[0] != "secrets" }
        let missing = paths.filter { isMissing($0, in: scope) }
        guard let first = missing.first, composition.rule == .usesAll || missing.count == paths.count else {
            return
        }
        throw .missingMember(first.joined(separator: "."))
    }

    private static func isMissing(_ path: [String], in scope: any ExpressionScope) -> Bool {
        do throws(ExpressionFailure) {
            // What is no name of the scope belongs to the language.
            guard var node = try scope.member(path[0]) else { return false }
            for name in path.dropFirst() {
                guard let member = try node.member(name) else { return true }
                node = member
            }
            guard case .value(let value) = node else { return false }
            switch value {
            case .null: return true
            case .string(let text): return text.isEmpty
            case .bytes(let bytes): return bytes.isEmpty
            case .array(let items): return items.isEmpty
            case .object(let object): return object.members.isEmpty
            case .bool, .int, .number: return false
            }
        } catch {
            return true
        }
    }
}
