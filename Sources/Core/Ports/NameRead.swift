/// A name that an expression reads, with its members, such as `steps.pay.response.status`.
///
/// ``members`` end before the first computed member, as in `vars[key]`; ``beyond`` begins with it.
package struct NameRead: Sendable, Hashable {
    /// One name of a path.
    package struct Part: Sendable, Hashable {
        package var name: String
        /// The number of bytes before it in the expression's source.
        package var offset: Int

        /// Whether the member is computed, as in `x[1]` or `x[key]`; then it has no name.
        package var isComputed: Bool

        package init(name: String, offset: Int, isComputed: Bool = false) {
            self.name = name
            self.offset = offset
            self.isComputed = isComputed
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
    /// The first computed member and all after it.
    package var beyond: [Part] = []
    package var use: Use
    /// Whether a single `|` precedes the root, as in the filters of other languages.
    package var followsBar: Bool
    /// The path before a `-` that touches it and the root, as in `trigger.headers.content-type`.
    package var minuend: [String] = []

    package init(root: Part, members: [Part] = [], use: Use = .read, followsBar: Bool = false) {
        self.root = root
        self.members = members
        self.use = use
        self.followsBar = followsBar
    }

    /// Adds a member behind all others.
    package mutating func append(_ part: Part) {
        if beyond.isEmpty, !part.isComputed { members.append(part) } else { beyond.append(part) }
    }
}
