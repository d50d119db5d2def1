/// The members of a JSON object in source order, with unique names.
///
/// Lookups compare names as UTF-8 bytes, as SQLite does, and never by canonical equivalence. Building an
/// object by name takes time linear in the number of members.
package struct Object: Sendable {
    package struct Member: Sendable, Hashable {
        package var name: String
        package var value: Value

        /// Whether both have the same name, by its bytes, and equal values.
        package static func == (left: Member, right: Member) -> Bool {
            left.name.hasSameBytes(as: right.name) && left.value == right.value
        }

        package init(name: String, value: Value) {
            self.name = name
            self.value = value
        }
    }

    package private(set) var members: [Member]
    /// An open-addressed hash table of positions plus one, with 0 for a free slot.
    ///
    /// Empty while there are few members, which are searched in order.
    private var slots: [UInt32] = []

    /// The number of members from which names are hashed.
    private static let hashedCountMin = 16

    package init() { members = [] }

    /// Builds an object; for a repeated name the last value counts, at the position of the first.
    package init(_ members: [Member]) {
        self.members = []
        self.members.reserveCapacity(members.count)
        for member in members { append(member.name, member.value) }
    }

    package var isEmpty: Bool { members.isEmpty }
    package var count: Int { members.count }

    package mutating func reserveCapacity(_ count: Int) { members.reserveCapacity(count) }

    /// The value of a name; setting nil removes the member, and a new name is appended.
    package subscript(_ name: String) -> Value? {
        get { position(of: name).map { members[$0].value } }
        set {
            switch (position(of: name), newValue) {
            case (let position?, let value?): members[position].value = value
            case (let position?, nil): remove(at: position)
            case (nil, let value?): add(name, value)
            case (nil, nil): break
            }
        }
    }

    /// Appends a member, or replaces the value if the name exists.
    package mutating func append(_ name: String, _ value: Value) {
        if let position = position(of: name) { members[position].value = value } else { add(name, value) }
    }

    /// Appends a member unless the name exists.
    ///
    /// - Returns: Whether it was appended.
    package mutating func insert(_ name: String, _ value: Value) -> Bool {
        guard position(of: name) == nil else { return false }
        add(name, value)
        return true
    }

    /// Changes the value of a name in place; nil if the name does not exist.
    package mutating func update(_ name: String, _ change: (inout Value) -> Void) -> Void? {
        guard let position = position(of: name) else { return nil }
        return change(&members[position].value)
    }

    // MARK: - Names

    private func position(of name: String) -> Int? {
        guard slots.isEmpty else { return hashedPosition(of: name) }
        for position in members.indices where members[position].name.hasSameBytes(as: name) {
            return position
        }
        return nil
    }

    private func hashedPosition(of name: String) -> Int? {
        var slot = Self.hash(name) & (slots.count - 1)
        while slots[slot] != 0 {
            let position = Int(slots[slot]) - 1
            if members[position].name.hasSameBytes(as: name) { return position }
            slot = (slot + 1) & (slots.count - 1)
        }
        return nil
    }

    private mutating func add(_ name: String, _ value: Value) {
        members.append(Member(name: name, value: value))
        // At most half of the slots are used, so that a search ends soon.
        if members.count * 2 > max(slots.count, Self.hashedCountMin * 2 - 1) {
            rehash()
        } else if !slots.isEmpty {
            note(members.count - 1)
        }
    }

    private mutating func remove(at position: Int) {
        members.remove(at: position)
        if !slots.isEmpty { rehash() }
    }

    private mutating func rehash() {
        slots = []
        guard members.count >= Self.hashedCountMin else { return }
        var count = 64
        while count < members.count * 4 { count *= 2 }
        slots = [UInt32](repeating: 0, count: count)
        for position in members.indices { note(position) }
    }

    private mutating func note(_ position: Int) {
        var slot = Self.hash(members[position].name) & (slots.count - 1)
        while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
        slots[slot] = UInt32(truncatingIfNeeded: position + 1)
    }

    /// The seed differs in each process, so that nobody can choose names that collide.
    private static func hash(_ name: String) -> Int {
        var name = name
        var hasher = Hasher()
        name.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        return hasher.finalize()
    }
}

extension Object: Hashable {
    package static func == (left: Object, right: Object) -> Bool { left.members == right.members }

    package func hash(into hasher: inout Hasher) { hasher.combine(members) }
}

extension String {
    /// Whether both texts have the same bytes; `==` would also accept canonically equivalent ones.
    package func hasSameBytes(as other: String) -> Bool {
        self.utf8.count == other.utf8.count && self == other && self.utf8.elementsEqual(other.utf8)
    }
}
