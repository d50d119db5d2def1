// Operators that lose digits or wrap become calls of functions that do not.
extension SourceReader {
    /// Reads the bounds of a numeric `for`, which accepts only Lua's own numbers.
    mutating func bounds() {
        repeat {
            guard let bound = expression() else { return }
            if bound.first == bound.last, tokens[bound.first].kind == .number { continue }
            reading.edits.use(ExactOperators.bound)
            reading.edits.open(bound.first, with: "\(ExactOperators.bound)(")
            reading.edits.close(bound.last, with: ")")
        } while take(",")
    }

    mutating func makeExact(_ operators: [Int], _ operands: [Span]) {
        let words = operators.map { tokens[$0].spelling }
        switch words[0] {
        case "..": call(ExactOperators.join, operators, operands)
        case "+", "-", "*", "/", "//", "%": makeExactArithmetic(words, operators, operands)
        case "==", "~=", "!=", "<", ">", "<=", ">=", "in":
            for (index, word) in words.enumerated() {
                let right = operands[index + 1]
                guard let function = comparison(word, operands[index], right) else { continue }
                call(
                    function, [operators[index]], [Span(first: operands[0].first, last: right.last), right])
            }
        default: break
        }
    }

    private mutating func makeExactArithmetic(
        _ words: [String], _ operators: [Int], _ operands: [Span]
    ) {
        if words.count == 1 {
            guard let function = ExactOperators.arithmetic[words[0]] else { return }
            return call(function, operators, operands)
        }
        guard words.contains(where: { ExactOperators.arithmetic[$0] != nil }) else { return }
        // Lua allows about 200 arguments in a call.
        for start in stride(from: 0, to: words.count, by: 100) {
            let end = min(start + 100, words.count)
            let letters = words[start..<end].map { $0 == "//" ? "\\\\" : $0 }.joined()
            call(
                ExactOperators.chain, Array(operators[start..<end]),
                [operands[0]] + operands[(start + 1)...end], "'\(letters)', ")
        }
    }

    mutating func makeExactNegation(_ sign: Int, _ operand: Span) {
        guard operand.first == operand.last, tokens[operand.first].kind == .number else {
            reading.edits.use(ExactOperators.negation)
            reading.edits.replace(sign, by: "\(ExactOperators.negation)(")
            return reading.edits.close(operand.last, with: ")")
        }
        let number = tokens[operand.first].spelling
        guard ExactOperators.needsExactText(number) else { return }
        reading.edits.use(ExactOperators.literal)
        reading.edits.replace(sign, by: " ")
        reading.edits.replace(operand.first, by: ExactOperators.numeral("-" + number))
    }

    /// Rewrites `a op b` as `function(a , b)`.
    mutating func call(
        _ function: String, _ operators: [Int], _ operands: [Span], _ argument: String = ""
    ) {
        guard let first = operands.first, let last = operands.last else { return }
        for index in operators { reading.edits.replace(index, by: ",") }
        // The parentheses truncate a call with several results to the first one.
        reading.edits.open(last.first, with: "(")
        reading.edits.close(last.last, with: ")")
        reading.edits.use(function)
        reading.edits.open(first.first, with: "\(function)(\(argument)")
        reading.edits.close(last.last, with: ")")
    }

    /// The function that stands for a comparison; nil if Lua's own operator is right, and faster.
    private func comparison(_ word: String, _ left: Span, _ right: Span) -> String? {
        // Texts and numbers have no order between them, so nothing long is compared with a number.
        if let order = ExactOperators.orders[word] {
            return isNumeral(left) || isNumeral(right) ? nil : order
        }
        // No number equals a text, null or boolean.
        return isPlain(left) || isPlain(right) ? nil : ExactOperators.comparisons[word]
    }

    private func isNumeral(_ span: Span) -> Bool {
        span.first == span.last && tokens[span.first].kind == .number
    }

    private func isPlain(_ span: Span) -> Bool {
        guard span.first == span.last else { return false }
        let token = tokens[span.first]
        if case .text = token.kind { return true }
        return token.isName("null") || ["nil", "true", "false"].contains(where: token.isKeyword)
    }
}
