import Values

/// A path through elements, such as `Order/Item[2]/@id`.
///
/// Elements are matched by local name, and a prefix in the path is ignored; attributes are matched by name as
/// written.
struct XMLPath: Hashable {
    struct Step: Hashable {
        let name: String
        /// The position among siblings of that name, from 1; nil for all of them.
        var position: Int?
    }

    let steps: [Step]
    /// Without the `@`; nil for a path that ends at elements.
    let attribute: String?

    private static let stepsMax = 100

    /// Nil if the text is no path.
    init?(_ text: String) {
        var parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= Self.stepsMax else { return nil }
        attribute = parts.last?.first == "@" ? String(parts.removeLast().dropFirst()) : nil
        if let attribute, !Self.isName(attribute) { return nil }
        var steps: [Step] = []
        for part in parts {
            guard let step = Self.step(part) else { return nil }
            steps.append(step)
        }
        guard attribute != nil || !steps.isEmpty else { return nil }
        self.steps = steps
    }

    private static func step(_ text: Substring) -> Step? {
        let name = text.prefix { $0 != "[" }
        let rest = text.dropFirst(name.count)
        guard isName(name), let local = name.split(separator: ":").last else { return nil }
        guard !rest.isEmpty else { return Step(name: String(local)) }
        let digits = rest.dropFirst().dropLast()
        guard rest.last == "]", digits.utf8.allSatisfy({ SourceLexer.isDigit($0) }),
            let position = Int(digits), position > 0
        else { return nil }
        return Step(name: String(local), position: position)
    }

    /// Refuses characters to which other path languages give a meaning.
    private static func isName(_ text: some StringProtocol) -> Bool {
        !text.isEmpty && text != "." && text != ".."
            && text.utf8.allSatisfy { !" @[]()*=\"'|".utf8.contains($0) }
    }

    /// The elements, or texts of attributes, at the path from a decoded document or one of its elements.
    ///
    /// `visit` is called for each element examined; an error that it throws ends the search.
    func select<Failure: Error>(
        from start: Value, visit: () throws(Failure) -> Void
    ) throws(Failure) -> [Value] {
        var nodes = [start]
        for step in steps {
            var next: [Value] = []
            for node in nodes {
                var seen = 0
                for child in Self.children(of: node) {
                    try visit()
                    guard child["name"]?.string?.hasSameBytes(as: step.name) ?? false else { continue }
                    seen += 1
                    if step.position == nil || step.position == seen { next.append(child) }
                }
            }
            nodes = next
        }
        guard let attribute else { return nodes }
        return nodes.compactMap { $0["attributes"]?[attribute] }
    }

    private static func children(of node: Value) -> [Value] {
        if let root = node["root"] { return [root] }
        return node["children"]?.array ?? []
    }
}
