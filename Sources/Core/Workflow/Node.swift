package import Values

/// A document's values with their positions.
///
/// The YAML and JSON readers make it; ``WorkflowReader`` turns it into a definition.
package struct Node: Sendable, Hashable {
    package indirect enum Content: Sendable, Hashable {
        case scalar(text: String, style: ScalarStyle)
        case list([Node])
        /// In file order, with unique names.
        case map([Member])
    }

    package enum ScalarStyle: Sendable, Hashable {
        /// Unquoted: may be a number, a boolean or null by the core schema.
        case plain
        /// Quoted or block: always a text.
        case text
    }

    package struct Member: Sendable, Hashable {
        package var name: String
        package var nameMark: Mark
        package var value: Node

        package init(name: String, nameMark: Mark, value: Node) {
            self.name = name
            self.nameMark = nameMark
            self.value = value
        }
    }

    /// The position of a part of a scalar's text; one for each line of the file that it spans.
    package struct Place: Sendable, Hashable {
        /// The byte offset of the part in the text.
        package var offset: Int
        package var mark: Mark

        package init(offset: Int, mark: Mark) {
            self.offset = offset
            self.mark = mark
        }
    }

    package var mark: Mark
    package var content: Content
    /// In text order; empty if the text begins at ``mark`` and stays on that line.
    package var places: [Place]

    package init(mark: Mark, content: Content, places: [Place] = []) {
        self.mark = mark
        self.content = content
        self.places = places
    }
}

/// A position in a file.
package struct Mark: Sendable, Hashable {
    /// Counted from 1.
    package var line: Int
    /// In Unicode scalars, counted from 1.
    package var column: Int

    package init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }
}

extension Mark: Comparable {
    package static func < (left: Mark, right: Mark) -> Bool {
        (left.line, left.column) < (right.line, right.column)
    }
}

// MARK: - Reading

extension Node {
    /// The text of a scalar as written; nil for a list or a map.
    package var text: String? {
        if case .scalar(let text, _) = content { return text }
        return nil
    }

    package var members: [Member]? {
        if case .map(let members) = content { return members }
        return nil
    }

    package var items: [Node]? {
        if case .list(let items) = content { return items }
        return nil
    }

    /// The member with this name; nil if this is no map or has no such member.
    package subscript(_ name: String) -> Node? {
        members?.first { $0.name.hasSameBytes(as: name) }?.value
    }

    /// The whole node as data, with scalars typed by the core schema.
    package var value: Value {
        switch content {
        case .scalar(let text, .text): return .string(text)
        case .scalar(let text, .plain): return CoreSchema.value(ofPlain: text)
        case .list(let items): return .array(items.map(\.value))
        case .map(let members):
            return .object(Object(members.map { Object.Member(name: $0.name, value: $0.value.value) }))
        }
    }

    /// The kind as messages name it.
    package var kindName: String {
        switch content {
        case .scalar(_, .text): "text"
        case .scalar(let text, .plain): CoreSchema.value(ofPlain: text).kindName
        case .list: "list"
        case .map: "map"
        }
    }

    /// The kind with its article, such as `a text` or `null`.
    var kindPhrase: String { kindName == "null" ? kindName : "a \(kindName)" }

    /// The position of a byte of a scalar's text; approximate in folded and escaped text.
    package func mark(ofByte offset: Int) -> Mark {
        guard let text else { return mark }
        let place = places.last { $0.offset <= offset } ?? Place(offset: 0, mark: mark)
        let between = text.utf8.dropFirst(place.offset).prefix(max(0, offset - place.offset))
        let characters = between.reduce(0) { $1 & 0xC0 == 0x80 ? $0 : $0 + 1 }
        return Mark(line: place.mark.line, column: place.mark.column + characters)
    }
}
