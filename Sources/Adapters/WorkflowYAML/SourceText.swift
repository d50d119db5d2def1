import Workflow

/// A file's text, checked before it is parsed.
struct SourceText {
    /// Without the byte order mark.
    let bytes: [UInt8]
    let scalars: [Unicode.Scalar]

    /// - Throws: ``YAMLFault`` if the text is too large, is not UTF-8, contains a control character, or
    ///   contains a line separator that YAML 1.1 and 1.2 read differently.
    init(_ bytes: [UInt8]) throws(YAMLFault) {
        guard bytes.count <= DocumentLimits.byteCount else {
            throw YAMLFault(
                problem: Problem(
                    .fileTooLarge, at: Mark(line: 1, column: 1),
                    "the file has \(bytes.count) bytes; at most \(DocumentLimits.byteCount) are read",
                    hint: "move parts of it into a workflow of their own"))
        }
        let body = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(bytes.dropFirst(3)) : bytes
        guard let text = String(validating: body, as: UTF8.self) else {
            throw YAMLFault(
                problem: Problem(
                    .notUTF8, at: Self.firstFault(in: body), "the file is not UTF-8 from here on",
                    hint: "save it as UTF-8"))
        }
        self.bytes = body
        self.scalars = Array(text.unicodeScalars)
        // libyaml would refuse these too, but without a position.
        if let index = scalars.firstIndex(where: { Self.isControl($0.value) }) {
            throw YAMLFault(
                problem: Problem(
                    .syntax, at: mark(at: index),
                    "the control character U+\(String(scalars[index].value, radix: 16, uppercase: true)) is not read",
                    hint: "write it as an escape in double quotes"))
        }
        if let index = scalars.firstIndex(where: { [0x85, 0x2028, 0x2029].contains($0.value) }) {
            throw YAMLFault(
                problem: Problem(
                    .lineSeparator, at: mark(at: index),
                    "the line separator U+\(String(scalars[index].value, radix: 16, uppercase: true)) is not read",
                    hint: "use a line feed, or write it as an escape such as \"\\u2028\" in double quotes"))
        }
    }

    private static func isControl(_ value: UInt32) -> Bool {
        switch value {
        case 0x09, 0x0A, 0x0D, 0x85: false
        case 0..<0x20, 0x7F..<0xA0, 0xFFFE, 0xFFFF: true
        default: false
        }
    }

    /// The scalar at `index`; nil past either end.
    subscript(_ index: Int) -> Unicode.Scalar? { scalars.indices.contains(index) ? scalars[index] : nil }

    func mark(at index: Int) -> Mark {
        var mark = Mark(line: 1, column: 1)
        for (position, scalar) in scalars.prefix(index).enumerated() {
            mark.pass(scalar, before: self[position + 1])
        }
        return mark
    }

    /// The text of a line, counted from 1, without its line break.
    func line(_ number: Int) -> String {
        var mark = Mark(line: 1, column: 1)
        var out = String.UnicodeScalarView()
        for (position, scalar) in scalars.enumerated() {
            if mark.line > number { break }
            if mark.line == number, scalar != "\n", scalar != "\r" { out.append(scalar) }
            mark.pass(scalar, before: self[position + 1])
        }
        return String(out)
    }

    private static func firstFault(in bytes: [UInt8]) -> Mark {
        var decoder = UTF8()
        var iterator = bytes.makeIterator()
        var mark = Mark(line: 1, column: 1)
        while case .scalarValue(let scalar) = decoder.decode(&iterator) { mark.pass(scalar, before: nil) }
        return mark
    }
}

extension Mark {
    /// Moves past one scalar; CR LF is one line break.
    mutating func pass(_ scalar: Unicode.Scalar, before next: Unicode.Scalar?) {
        if scalar == "\n" || (scalar == "\r" && next != "\n") {
            self = Mark(line: line + 1, column: 1)
        } else {
            column += 1
        }
    }
}
