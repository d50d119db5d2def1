/// A name that an expression reads, with its members, such as `steps.pay.response.status`.
///
/// Contains literal members only; a computed member, as in `vars[key]`, ends the path.
package struct NameRead: Sendable, Hashable {
    /// One name of a path.
    package struct Part: Sendable, Hashable {
        package var name: String
        /// The number of bytes before it in the expression's source.
        package var offset: Int

        package init(name: String, offset: Int) {
            self.name = name
            self.offset = offset
        }
    }

    /// How the path ends.
    package enum Use: Sendable, Hashable {
        case read
        case called
        /// A value is assigned to it.
        case assigned
        /// A method of the value is called, as in `trigger.raw_body:lower()`.
        case method(Part)
    }

    package var root: Part
    package var members: [Part]
    package var use: Use
    /// Whether a single `|` precedes the root, as in the filters of other languages.
    package var followsBar: Bool

    package init(root: Part, members: [Part] = [], use: Use = .read, followsBar: Bool = false) {
        self.root = root
        self.members = members
        self.use = use
        self.followsBar = followsBar
    }
}
