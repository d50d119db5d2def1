package import Values

/// A document as it was written: values with the place where each stands.
///
/// The YAML and JSON readers make it; ``WorkflowReader`` turns it into a definition.
package struct Node: Sendable, Hashable {
    package indirect enum Content: Sendable, Hashable {
        case scalar(text: String, style: ScalarStyle)
        case list([Node])
        /// In the order of the file; names are unique.
        case map([Member])
    }

    package enum ScalarStyle: Sendable, Hashable {
        /// Without quotes: may be a number, a boolean or null by the 1.2 core schema.
        case plain
        /// Quoted or block: always text.
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

    /// Where a part of a scalar's text stands in the file; one for each line of the file it spans.
    package struct Place: Sendable, Hashable {
        /// Bytes of the text before the part.
        package var offset: Int
        package var mark: Mark

        package init(offset: Int, mark: Mark) {
            self.offset = offset
            self.mark = mark
        }
    }

    package var mark: Mark
    package var content: Content
    /// In the order of the text; empty where the text begins at ``mark`` and stays on that line.
    package var places: [Place]

    package init(mark: Mark, content: Content, places: [Place] = []) {
        self.mark = mark
        self.content = content
        self.places = places
    }
}

/// A place in a file.
package struct Mark: Sendable, Hashable {
    /// From 1.
    package var line: Int
    /// In characters, from 1.
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
    /// The text of a scalar as it was written; nil for a list or a map.
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

    /// The member of that name; nil where this is no map or has none.
    package subscript(_ name: String) -> Node? {
        members?.first { $0.name.hasSameBytes(as: name) }?.value
    }

    /// The whole node as data, scalars typed by the 1.2 core schema.
    package var value: Value {
        switch content {
        case .scalar(let text, .text): return .string(text)
        case .scalar(let text, .plain): return CoreSchema.value(ofPlain: text)
        case .list(let items): return .array(items.map(\.value))
        case .map(let members):
            return .object(Object(members.map { Object.Member(name: $0.name, value: $0.value.value) }))
        }
    }

    /// The kind of value as a message names it.
    package var kindName: String {
        switch content {
        case .scalar(_, .text): "text"
        case .scalar(let text, .plain): CoreSchema.value(ofPlain: text).kindName
        case .list: "list"
        case .map: "map"
        }
    }

    /// The kind with its article: `a text`, `null`.
    var kindPhrase: String { kindName == "null" ? kindName : "a \(kindName)" }

    /// Where the byte of a scalar's text at `offset` stands; near enough for folded and escaped text.
    package func mark(ofByte offset: Int) -> Mark {
        guard let text else { return mark }
        let place = places.last { $0.offset <= offset } ?? Place(offset: 0, mark: mark)
        let between = text.utf8.dropFirst(place.offset).prefix(max(0, offset - place.offset))
        let characters = between.reduce(0) { $1 & 0xC0 == 0x80 ? $0 : $0 + 1 }
        return Mark(line: place.mark.line, column: place.mark.column + characters)
    }
}
