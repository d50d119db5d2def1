import Workflow

/// Builds the tree from events and counts depth, nodes and aliases.
///
/// An invalid value is reported and skipped; a broken limit ends the reading.
struct NodeBuilder {
    var problems: [Problem] = []
    private let events: YAMLEvents
    private let source: SourceText
    private var depth = 0
    private var nodeCount = 0
    private var aliasCount = 0
    private var anchored: [String: Anchored] = [:]

    /// The target of an alias.
    private struct Anchored {
        var node: Node
        var nodeCount: Int
        var height: Int
    }

    init(events: YAMLEvents, source: SourceText) {
        self.events = events
        self.source = source
    }

    /// The document of the text; nil, with a problem, if there is none.
    ///
    /// - Throws: ``YAMLFault`` for a syntax error, a broken limit or a second document.
    mutating func document() throws(YAMLFault) -> Node? {
        let first = try events.next()
        guard case .documentStart = first.kind else {
            problems.append(
                Problem(.emptyDocument, at: Mark(line: 1, column: 1), "the file contains no document"))
            return nil
        }
        let root = try node(from: try events.next()).node
        _ = try events.next()
        let after = try events.next()
        if case .documentStart = after.kind {
            throw Self.fault(
                .severalDocuments, at: after.mark, "a second document begins here",
                hint: "put each workflow into a file of its own")
        }
        return root
    }

    private mutating func node(from event: YAMLEvent) throws(YAMLFault) -> Anchored {
        if let tag = event.tag {
            problems.append(
                Problem(
                    .tag, at: event.mark, "the tag \(tag.prefix(60)) is not read",
                    hint: "remove it; a quoted value is text, a plain one follows YAML 1.2's core schema"))
        }
        if case .alias(let name) = event.kind { return try alias(name, at: event.mark) }
        try count(1, at: event.mark)
        let before = nodeCount
        var height = 0
        var node = Node(mark: event.mark, content: .scalar(text: "", style: .plain))
        switch event.kind {
        case .scalar(let text, let isPlain): node = try scalar(text, isPlain: isPlain, event)
        case .listStart(let isFlow):
            node.content = .list(try items(of: event, isFlow: isFlow, height: &height))
        case .mapStart(let isFlow):
            node.content = .map(try members(of: event, isFlow: isFlow, height: &height))
        default: throw Self.fault(.syntax, at: event.mark, "a value is missing here")
        }
        let result = Anchored(node: node, nodeCount: nodeCount - before + 1, height: height)
        if let anchor = event.anchor { anchored[anchor] = result }
        return result
    }

    private func scalar(_ text: String, isPlain: Bool, _ event: YAMLEvent) throws(YAMLFault) -> Node {
        guard text.utf8.count <= DocumentLimits.scalarByteCount else {
            throw Self.fault(
                .scalarTooLong, at: event.mark,
                "a text of \(text.utf8.count) bytes; at most \(DocumentLimits.scalarByteCount) are read")
        }
        return Node(
            mark: event.mark, content: .scalar(text: text, style: isPlain ? .plain : .text),
            places: ScalarPlaces.places(of: text, event: event, in: source))
    }

    private mutating func alias(_ name: String, at mark: Mark) throws(YAMLFault) -> Anchored {
        aliasCount += 1
        guard aliasCount <= DocumentLimits.aliasCount else {
            throw Self.fault(
                .alias, at: mark, "more than \(DocumentLimits.aliasCount) aliases",
                hint: "write the values out, or keep them under `vars`")
        }
        guard var target = anchored[name] else {
            throw Self.fault(
                .alias, at: mark,
                "the alias *\(name.prefix(60)) stands for nothing that is complete before it")
        }
        try count(target.nodeCount, at: mark)
        guard depth + target.height <= DocumentLimits.depth else { throw Self.tooDeep(at: mark) }
        target.node.mark = mark
        return target
    }

    // MARK: - Lists and maps

    private mutating func items(of start: YAMLEvent, isFlow: Bool, height: inout Int) throws(YAMLFault)
        -> [Node]
    {
        try enter(at: start.mark)
        var items: [Node] = []
        var split = SplitExpression(isFlow: isFlow)
        while true {
            let event = try events.next()
            if case .listEnd = event.kind { break }
            var item = try node(from: event)
            height = max(height, item.height)
            if split.isOpen {
                _ = split.takes(item.node, into: &problems)
                continue
            }
            split.repair(&item.node, into: &problems)
            items.append(item.node)
        }
        depth -= 1
        height += 1
        return items
    }

    private mutating func members(of start: YAMLEvent, isFlow: Bool, height: inout Int) throws(YAMLFault)
        -> [Node.Member]
    {
        try enter(at: start.mark)
        var members: [Node.Member] = []
        // By bytes, because `String` would merge canonically equivalent names.
        var names: [[UInt8]: Mark] = [:]
        var split = SplitExpression(isFlow: isFlow)
        while true {
            let event = try events.next()
            if case .mapEnd = event.kind { break }
            let name = try name(from: event, in: start)
            var value = try node(from: try events.next())
            height = max(height, value.height)
            if split.takes(
                Node(mark: event.mark, content: .scalar(text: name ?? "", style: .plain)), into: &problems)
            {
                continue
            }
            split.repair(&value.node, into: &problems)
            guard let name else { continue }
            if let first = names.updateValue(event.mark, forKey: Array(name.utf8)) {
                problems.append(
                    Problem(
                        .duplicateName, at: event.mark,
                        "\(Self.quoted(name)) occurs twice in the same map; first on line \(first.line)",
                        hint: "keep one of the two"))
            } else {
                members.append(Node.Member(name: name, nameMark: event.mark, value: value.node))
            }
        }
        depth -= 1
        height += 1
        return members
    }

    /// The name of a member; nil, with a problem, if it cannot be one.
    private mutating func name(from event: YAMLEvent, in map: YAMLEvent) throws(YAMLFault) -> String? {
        if case .mapStart(isFlow: true) = event.kind, source[map.range.lowerBound] == "{",
            source[map.range.lowerBound + 1] == "{"
        {
            throw Self.fault(
                .bareBraces, at: map.mark,
                "a value that starts with a bare {{ is a map for YAML, not an expression",
                hint: "put it in quotes: \"{{ … }}\", or write << … >>")
        }
        let node = try node(from: event).node
        guard case .scalar(let text, let style) = node.content else {
            problems.append(
                Problem(
                    .nameNotText, at: event.mark, "a \(node.kindName) cannot be a name", hint: "use a text"))
            return nil
        }
        if style == .plain, text == "<<" {
            problems.append(
                Problem(
                    .mergeKey, at: event.mark, "the merge key << is not read", hint: "write the members out"))
            return nil
        }
        if style == .plain, text.isEmpty {
            problems.append(Problem(.nameNotText, at: event.mark, "a name is missing before the colon"))
            return nil
        }
        return text
    }

    // MARK: - Limits

    private mutating func enter(at mark: Mark) throws(YAMLFault) {
        depth += 1
        guard depth <= DocumentLimits.depth else { throw Self.tooDeep(at: mark) }
    }

    private mutating func count(_ added: Int, at mark: Mark) throws(YAMLFault) {
        nodeCount += added
        guard nodeCount <= DocumentLimits.nodeCount else {
            throw Self.fault(
                .tooManyNodes, at: mark, "more than \(DocumentLimits.nodeCount) values",
                hint: "aliases count as what they stand for; split the workflow in two")
        }
    }

    private static func tooDeep(at mark: Mark) -> YAMLFault {
        fault(.tooDeep, at: mark, "nested deeper than \(DocumentLimits.depth) levels")
    }

    private static func fault(_ code: ProblemCode, at mark: Mark, _ message: String, hint: String? = nil)
        -> YAMLFault
    {
        YAMLFault(problem: Problem(code, at: mark, message, hint: hint))
    }

    private static func quoted(_ name: String) -> String {
        name.unicodeScalars.count > 60 ? "`\(String(name.unicodeScalars.prefix(60)))…`" : "`\(name)`"
    }
}

/// Detects a comma that split an expression inside `{ }` or `[ ]`.
struct SplitExpression {
    private let isFlow: Bool
    private var closer: String?

    init(isFlow: Bool) { self.isFlow = isFlow }

    /// Whether the end of an expression is still missing.
    var isOpen: Bool { closer != nil }

    /// Whether `node` is a later part of an expression that was reported already.
    mutating func takes(_ node: Node, into problems: inout [Problem]) -> Bool {
        guard isFlow, case .scalar(let text, .plain) = node.content else { return false }
        if let closer {
            if Self.contains(text, closer) { self.closer = nil }
            return true
        }
        for (opener, closer) in [("<<", ">>"), ("{{", "}}")] where Self.contains(text, opener) {
            guard !Self.contains(text, closer) else { continue }
            self.closer = closer
            problems.append(
                Problem(
                    .splitExpression, at: node.mark,
                    "a comma or bracket ends this \(opener) before its \(closer)",
                    hint: "inside { } and [ ] put the value in quotes, or use block style"))
        }
        return false
    }

    /// Replaces a split expression by a whole one, so that it is not reported twice.
    mutating func repair(_ node: inout Node, into problems: inout [Problem]) {
        let wasClosed = closer == nil
        _ = takes(node, into: &problems)
        if wasClosed, closer != nil { node.content = .scalar(text: "<< null >>", style: .text) }
    }

    private static func contains(_ text: String, _ part: String) -> Bool {
        let (bytes, wanted) = (Array(text.utf8), Array(part.utf8))
        return bytes.indices.dropLast().contains { bytes[$0] == wanted[0] && bytes[$0 + 1] == wanted[1] }
    }
}
