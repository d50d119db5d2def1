/// A name that an expression reads, with the members that it reads of it: `steps.pay.response.status`.
///
/// Only what is written out counts. A member that is computed, `vars[key]`, ends the path.
package struct NameRead: Sendable, Hashable {
    /// One name of a path.
    package struct Part: Sendable, Hashable {
        package var name: String
        /// Bytes of the expression's source before it.
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
        /// A function of the value is called: `trigger.raw_body:lower()`.
        case method(Part)
    }

    package var root: Part
    package var members: [Part]
    package var use: Use
    /// Whether a single `|` stands before the root, as a filter of other languages is written.
    package var followsBar: Bool

    package init(root: Part, members: [Part] = [], use: Use = .read, followsBar: Bool = false) {
        self.root = root
        self.members = members
        self.use = use
        self.followsBar = followsBar
    }
}
