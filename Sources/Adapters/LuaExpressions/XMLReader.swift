import CExpat
import Values

/// Reads one XML document in UTF-8: all of it, or the part at a path.
///
/// The parser is Expat, which is handed the whole text and nothing to open anything with. A document type
/// declaration is refused, so that there are no entities but the five of XML and those by number.
final class XMLReader {
    enum Failure: Error, Hashable {
        /// The line counts from 1.
        case malformed(line: Int, reason: String)
        case overBudget
        case overMemory
    }

    /// What is kept of a document; all of it is read in any case.
    enum Wanted {
        /// The root, with all that is in it.
        case root
        /// The text or the attribute that a path leads to first.
        case first(XMLPath)
        /// All elements or attributes that a path leads to.
        case each(XMLPath)
    }

    /// How many elements may stand within one another.
    ///
    /// Each is a map in a list: the whole is no deeper than a document of JSON may be.
    static let depthMax = 60

    /// About what an element and an attribute take in memory, beside their texts.
    private static let (elementBytes, attributeBytes) = (600, 150)

    private enum Keeping {
        case nothing, text, tree
    }

    /// An element whose end was not read yet.
    private struct Open {
        let name: String
        var isOnPath: Bool
        var keeping: Keeping
        var attributes = Object()
        var text: [UInt8] = []
        var children: [Value] = []
        var hasChildren = false
        /// Children so far that have the name of the path's next step.
        var namedCount = 0
    }

    private let wanted: Wanted
    private let path: XMLPath?
    private let spend: (_ work: Int, _ memory: Int) -> Failure?
    private let parser: XML_Parser
    private var open: [Open] = []
    private var found: [Value] = []
    private var failure: Failure?

    private init?(_ wanted: Wanted, spend: @escaping (Int, Int) -> Failure?) {
        guard let parser = XML_ParserCreate("UTF-8") else { return nil }
        self.wanted = wanted
        self.spend = spend
        self.parser = parser
        path =
            switch wanted {
            case .root: nil
            case .first(let path), .each(let path): path
            }
        setHandlers()
    }

    deinit { XML_ParserFree(parser) }

    /// What is wanted of a document: at most one value, or, of `each`, all.
    ///
    /// `spend` charges units of work and bytes of memory; what it answers ends the reading.
    static func read(
        _ bytes: UnsafeBufferPointer<UInt8>, _ wanted: Wanted, spend: @escaping (Int, Int) -> Failure?
    ) throws(Failure) -> [Value] {
        if bytes.starts(with: [0xFE, 0xFF]) || bytes.starts(with: [0xFF, 0xFE]) {
            throw .malformed(line: 1, reason: "the encoding is UTF-16, and only UTF-8 is read")
        }
        guard let reader = XMLReader(wanted, spend: spend) else { throw .overMemory }
        try reader.parse(bytes)
        return reader.found
    }

    private func parse(_ bytes: UnsafeBufferPointer<UInt8>) throws(Failure) {
        guard let count = Int32(exactly: bytes.count) else { throw .overMemory }
        let status = bytes.withMemoryRebound(to: CChar.self) {
            // Without bytes Expat still wants an address.
            withExtendedLifetime(self) { [start = $0.baseAddress] in
                XML_Parse(parser, start ?? UnsafePointer(bitPattern: 1), count, 1)
            }
        }
        if let failure { throw failure }
        guard status != XML_STATUS_OK else { return }
        let code = XML_GetErrorCode(parser)
        if code == XML_ERROR_NO_MEMORY { throw .overMemory }
        let reason = XML_ErrorString(code).map { String(cString: $0) } ?? "broken"
        throw .malformed(line: line, reason: reason)
    }

    private var line: Int { Int(XML_GetCurrentLineNumber(parser)) }

    private func stop(_ failure: Failure) {
        self.failure = failure
        _ = XML_StopParser(parser, 0)
    }

    private func stop(_ reason: String) { stop(.malformed(line: line, reason: reason)) }

    /// Whether there is room for what follows.
    private func charge(_ work: Int, _ memory: Int = 0) -> Bool {
        // Expat may call on for the element at which it was stopped.
        guard failure == nil else { return false }
        guard let failure = spend(work, memory) else { return true }
        stop(failure)
        return false
    }

    // MARK: - What Expat calls

    private static func reader(_ context: UnsafeMutableRawPointer?) -> XMLReader? {
        context.map { Unmanaged<XMLReader>.fromOpaque($0).takeUnretainedValue() }
    }

    private func setHandlers() {
        XML_SetUserData(parser, Unmanaged.passUnretained(self).toOpaque())
        XML_SetXmlDeclHandler(parser) { context, _, encoding, _ in
            if let encoding { XMLReader.reader(context)?.check(encoding: String(cString: encoding)) }
        }
        XML_SetStartDoctypeDeclHandler(parser) { context, _, _, _, _ in
            XMLReader.reader(context)?.stop("a document type declaration is not allowed")
        }
        XML_SetElementHandler(
            parser,
            { context, name, attributes in
                if let name { XMLReader.reader(context)?.start(String(cString: name), attributes) }
            },
            { context, _ in XMLReader.reader(context)?.end() })
        XML_SetCharacterDataHandler(parser) { context, text, count in
            let bytes = UnsafeBufferPointer(start: text, count: Int(count))
            XMLReader.reader(context)?.add(UnsafeRawBufferPointer(bytes))
        }
    }

    private func check(encoding: String) {
        if ["utf-8", "us-ascii"].contains(encoding.lowercased()) { return }
        stop("the encoding is \(encoding), and only UTF-8 is read")
    }

    private func start(
        _ name: String, _ attributes: UnsafeMutablePointer<UnsafePointer<CChar>?>?
    ) {
        guard charge(20) else { return }
        guard open.count < Self.depthMax else {
            return stop("elements nested deeper than \(Self.depthMax) levels")
        }
        let local = name.split(separator: ":", maxSplits: 1).last.map(String.init) ?? name
        let isOnPath = isOnPath(local)
        let isFound = isOnPath && open.count + 1 == path?.steps.count ?? 1
        var element = Open(name: local, isOnPath: isOnPath, keeping: keeping(isFound: isFound))
        if isFound, let attribute = path?.attribute {
            if let value = self.attributes(attributes, onlyNamed: attribute)[attribute] { keep(value) }
        } else if element.keeping == .tree {
            guard charge(20, Self.elementBytes) else { return }
            element.attributes = self.attributes(attributes)
        }
        if !open.isEmpty { open[open.count - 1].hasChildren = true }
        open.append(element)
    }

    private func isOnPath(_ name: String) -> Bool {
        guard let path else { return open.isEmpty }
        let depth = open.count
        guard depth < path.steps.count, open.last?.isOnPath ?? true,
            path.steps[depth].name.hasSameBytes(as: name)
        else { return false }
        guard depth > 0 else { return path.steps[0].position ?? 1 == 1 }
        open[depth - 1].namedCount += 1
        return path.steps[depth].position ?? open[depth - 1].namedCount == open[depth - 1].namedCount
    }

    private func keeping(isFound: Bool) -> Keeping {
        if open.last?.keeping == .tree { return .tree }
        guard isFound, path?.attribute == nil else { return .nothing }
        if case .first = wanted { return found.isEmpty ? .text : .nothing }
        return .tree
    }

    private func attributes(
        _ pairs: UnsafeMutablePointer<UnsafePointer<CChar>?>?, onlyNamed wantedName: String? = nil
    ) -> Object {
        var attributes = Object()
        var position = 0
        while let name = pairs?[position], let value = pairs?[position + 1] {
            position += 2
            let name = String(cString: name)
            guard charge(10), wantedName == nil || wantedName == name else { continue }
            if name == "xmlns" || name.hasPrefix("xmlns:") { continue }
            let text = String(cString: value)
            guard charge(10 + text.utf8.count / 32, Self.attributeBytes + text.utf8.count) else { break }
            attributes.append(name, .string(text))
        }
        return attributes
    }

    private func add(_ bytes: UnsafeRawBufferPointer) {
        guard let last = open.last else { return }
        guard charge(2 + bytes.count / 32, last.keeping == .nothing ? 0 : bytes.count) else { return }
        if last.keeping != .nothing { open[open.count - 1].text.append(contentsOf: bytes) }
    }

    private func end() {
        guard failure == nil, let element = open.popLast() else { return }
        switch element.keeping {
        case .nothing: break
        case .text: keep(.string(Self.text(of: element)))
        case .tree:
            let value = Self.value(of: element)
            if open.last?.keeping == .tree {
                open[open.count - 1].children.append(value)
            } else {
                found.append(value)
            }
        }
    }

    private func keep(_ value: Value) {
        if case .first = wanted, !found.isEmpty { return }
        found.append(value)
    }

    /// An element's own text; what only sets its children apart is none.
    private static func text(of element: Open) -> String {
        let isSpace =
            element.hasChildren && element.text.allSatisfy { [0x20, 0x09, 0x0A, 0x0D].contains($0) }
        return isSpace ? "" : String(decoding: element.text, as: UTF8.self)
    }

    private static func value(of element: Open) -> Value {
        .object(
            Object([
                .init(name: "name", value: .string(element.name)),
                .init(name: "attributes", value: .object(element.attributes)),
                .init(name: "text", value: .string(text(of: element))),
                .init(name: "children", value: .array(element.children)),
            ]))
    }
}
