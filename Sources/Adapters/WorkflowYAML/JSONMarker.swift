import Values
import Workflow

/// Adds positions to a JSON value by walking the text that the JSON reader has accepted.
struct JSONMarker {
    private let bytes: [UInt8]
    private var position = 0
    private var line = 1
    private var column = 1
    private var depth = 0
    private var nodeCount = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func document(_ value: Value) throws(YAMLFault) -> Node { try node(value) }

    private var mark: Mark { Mark(line: line, column: column) }

    private mutating func node(_ value: Value) throws(YAMLFault) -> Node {
        skipBlanks()
        let mark = mark
        try count(at: mark)
        switch value {
        // A value parsed from JSON contains no bytes.
        case .null, .bool, .int, .number, .bytes:
            let start = position
            while position < bytes.count, isLiteral(bytes[position]) { pass() }
            return Node(
                mark: mark,
                content: .scalar(
                    text: String(decoding: bytes[start..<position], as: UTF8.self), style: .plain))
        case .string(let text):
            passString()
            return try scalar(text, at: mark)
        case .array(let items):
            var nodes: [Node] = []
            try enter(at: mark)
            for item in items {
                nodes.append(try node(item))
                passPunctuation()
            }
            if items.isEmpty { passPunctuation() }
            depth -= 1
            return Node(mark: mark, content: .list(nodes))
        case .object(let object):
            var members: [Node.Member] = []
            try enter(at: mark)
            for member in object.members {
                skipBlanks()
                let nameMark = self.mark
                try count(at: nameMark)
                passString()
                passPunctuation()
                members.append(
                    Node.Member(name: member.name, nameMark: nameMark, value: try node(member.value)))
                passPunctuation()
            }
            if object.isEmpty { passPunctuation() }
            depth -= 1
            return Node(mark: mark, content: .map(members))
        }
    }

    private func scalar(_ text: String, at mark: Mark) throws(YAMLFault) -> Node {
        guard text.utf8.count <= DocumentLimits.scalarByteCount else {
            throw YAMLFault(
                problem: Problem(
                    .scalarTooLong, at: mark,
                    "a text of \(text.utf8.count) bytes; at most \(DocumentLimits.scalarByteCount) are read"))
        }
        let first = Mark(line: mark.line, column: mark.column + 1)
        return Node(
            mark: mark, content: .scalar(text: text, style: .text),
            places: [Node.Place(offset: 0, mark: first)])
    }

    // MARK: - Moving

    private func isLiteral(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: ","), UInt8(ascii: "]"), UInt8(ascii: "}"), 0x20, 0x09, 0x0A, 0x0D: false
        default: true
        }
    }

    private mutating func pass() {
        let byte = bytes[position]
        position += 1
        if byte == 0x0A || (byte == 0x0D && !(position < bytes.count && bytes[position] == 0x0A)) {
            line += 1
            column = 1
        } else if byte & 0xC0 != 0x80 {
            column += 1
        }
    }

    private mutating func skipBlanks() {
        while position < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) { pass() }
    }

    private mutating func passString() {
        guard position < bytes.count else { return }
        pass()
        while position < bytes.count, bytes[position] != UInt8(ascii: "\"") {
            if bytes[position] == UInt8(ascii: "\\"), position + 1 < bytes.count { pass() }
            pass()
        }
        if position < bytes.count { pass() }
    }

    /// Passes one of `: , ] }` and the blanks before it.
    private mutating func passPunctuation() {
        skipBlanks()
        if position < bytes.count { pass() }
    }

    // MARK: - Limits

    private mutating func enter(at mark: Mark) throws(YAMLFault) {
        pass()
        depth += 1
        guard depth <= DocumentLimits.depth else {
            throw YAMLFault(
                problem: Problem(.tooDeep, at: mark, "nested deeper than \(DocumentLimits.depth) levels"))
        }
    }

    private mutating func count(at mark: Mark) throws(YAMLFault) {
        nodeCount += 1
        guard nodeCount <= DocumentLimits.nodeCount else {
            throw YAMLFault(
                problem: Problem(
                    .tooManyNodes, at: mark, "more than \(DocumentLimits.nodeCount) values",
                    hint: "split the workflow in two"))
        }
    }
}
