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

    package var mark: Mark
    package var content: Content

    package init(mark: Mark, content: Content) {
        self.mark = mark
        self.content = content
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
