import Ports
package import Values
import Workflow

/// A value that expressions use and nobody is shown: in the journal it is sealed, and in its place stands
/// ``SensitivePart/mask``.
package struct SensitivePart: Sendable, Hashable {
    package enum Step: Sendable, Hashable {
        case name(String)
        /// From 0.
        case index(Int)
    }

    /// What stands in its place.
    package static let mask = "[sensitive]"

    /// Where it stands, from the root of a value; of an answer the first name is `body` or `headers`.
    package var place: [Step]
    package var value: Value

    package init(place: [Step], value: Value) {
        self.place = place
        self.value = value
    }

    /// Its place as people write it: `body.keys[1].secret`, items counted from 1.
    var placeText: String {
        var text = ""
        for step in place {
            switch step {
            case .name(let name): text += text.isEmpty ? name : "." + name
            case .index(let index): text += "[\(index + 1)]"
            }
        }
        return text
    }
}

/// A value as it is shown, and the parts of it that are not.
package struct GuardedValue: Sendable, Hashable {
    package var shown: Value
    /// Places are counted from its root.
    package var parts: [SensitivePart]

    package init(_ shown: Value, _ parts: [SensitivePart] = []) {
        self.shown = shown
        self.parts = parts
    }

    /// As expressions see it.
    package var value: Value { parts.restored(in: shown) }
}

/// Seals sensitive values for the journal, and opens them when a run is read back from it.
package protocol JournalSealer: Sendable {
    /// Seals for an entry's place: what was sealed for another one does not open.
    func seal(_ plaintext: [UInt8], for place: String) -> [UInt8]
    /// What was sealed; nil where it does not open.
    func open(_ sealed: [UInt8], for place: String) -> [UInt8]?
}

// MARK: - The stored form

extension SensitivePart {
    /// The same part, of a value that stands under that name.
    package func below(_ name: String) -> SensitivePart {
        SensitivePart(place: [.name(name)] + place, value: value)
    }

    /// `[[place…], value]`, for sealing; the value as JSON text, so that it may be as deep as any.
    var sealable: Value {
        let steps = place.map { step -> Value in
            switch step {
            case .name(let name): .string(name)
            case .index(let index): .int(Int64(index))
            }
        }
        return [.array(steps), .string(Self.kept(value))]
    }

    private static func kept(_ value: Value) -> String {
        var bytes: [UInt8] = []
        JSON.write(value, into: &bytes, form: .kept)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Reads ``sealable``; nil for anything else.
    init?(_ sealable: Value) {
        guard let steps = sealable[0]?.array, let text = sealable[1]?.string,
            let value = try? JSON.parseKept(Array(text.utf8))
        else { return nil }
        var place: [Step] = []
        for step in steps {
            if let name = step.string {
                place.append(.name(name))
            } else if let index = step.int.flatMap({ Int(exactly: $0) }) {
                place.append(.index(index))
            } else {
                return nil
            }
        }
        self.init(place: place, value: value)
    }
}

// MARK: - Taking out, putting back

extension [SensitivePart] {
    /// The value with the real ones back in their places, as expressions see it.
    func restored(in value: Value) -> Value {
        reduce(value) { $0.replacing(at: $1.place[...], by: $1.value) }
    }

    /// Headers with the real values in place of the masks.
    func restored(in headers: [HTTPHeader]) -> [HTTPHeader] {
        headers.map { header in
            let part = first { $0.place == [.name(header.name)] }
            return part.map { HTTPHeader(header.name, $0.value.text) } ?? header
        }
    }

    /// Those below that name, with places counted from there.
    func below(_ name: String) -> [SensitivePart] {
        compactMap { part -> SensitivePart? in
            guard part.place.first == .name(name) else { return nil }
            return SensitivePart(place: part.place.dropFirst().map { $0 }, value: part.value)
        }
    }

    /// All texts in it that are looked for elsewhere.
    var texts: [String] { flatMap { $0.value.texts } }
}

extension Value {
    /// The value with another one at that place; as it is where it has no such place.
    func replacing(at place: ArraySlice<SensitivePart.Step>, by other: Value) -> Value {
        guard let step = place.first else { return other }
        let rest = place.dropFirst()
        switch (step, self) {
        case (.name(let name), .object(var object)):
            guard let old = object[name] else { return self }
            object[name] = old.replacing(at: rest, by: other)
            return .object(object)
        case (.index(let index), .array(var items)):
            guard items.indices.contains(index) else { return self }
            items[index] = items[index].replacing(at: rest, by: other)
            return .array(items)
        default: return self
        }
    }

    /// Texts, and numbers as texts, at any depth.
    fileprivate var texts: [String] {
        switch self {
        case .string(let text): [text]
        case .int, .number: [text]
        case .array(let items): items.flatMap(\.texts)
        case .object(let object): object.members.flatMap(\.value.texts)
        case .null, .bool, .bytes: []
        }
    }

    /// Places that a path names, and what stands there; nothing where the path leads nowhere.
    fileprivate func found(
        at path: ArraySlice<SensitivePath.Part>, _ place: [SensitivePart.Step] = []
    ) -> [SensitivePart] {
        guard let part = path.first else {
            return isNull ? [] : [SensitivePart(place: place, value: self)]
        }
        let rest = path.dropFirst()
        switch (part, self) {
        case (.name(let name), .object(let object)):
            return object[name]?.found(at: rest, place + [.name(name)]) ?? []
        case (.each, .object(let object)):
            return object.members.flatMap { $0.value.found(at: rest, place + [.name($0.name)]) }
        case (.each, .array(let items)):
            return items.enumerated().flatMap { $0.element.found(at: rest, place + [.index($0.offset)]) }
        default: return []
        }
    }
}

// MARK: - Answers

/// An answer without what its step calls sensitive, and that beside it.
struct GuardedAnswer {
    var response: OutboundResponse
    var parts: [SensitivePart] = []

    /// - Parameters:
    ///   - response: As it came, with names of headers in lower case.
    ///   - paths: What the step calls sensitive; a place that the answer does not have is none.
    init(_ response: OutboundResponse, _ paths: [SensitivePath]) {
        self.response = response
        for case .header(let name) in paths { takeHeader(name) }
        let places = paths.compactMap { path -> [SensitivePath.Part]? in
            if case .body(let parts) = path { parts } else { nil }
        }
        if !places.isEmpty, !response.body.isEmpty { takeBody(places) }
    }

    private mutating func takeHeader(_ name: String) {
        let values = response.headers.filter { $0.name == name }.map(\.value)
        guard !values.isEmpty else { return }
        response.headers.removeAll { $0.name == name }
        response.headers.append(HTTPHeader(name, SensitivePart.mask))
        parts.append(
            SensitivePart(
                place: [.name("headers"), .name(name)], value: .string(values.joined(separator: ", "))))
    }

    /// A body that has no places, as a text has none, is sensitive as a whole.
    private mutating func takeBody(_ paths: [[SensitivePath.Part]]) {
        let type = response.headers["content-type"]
        let value = BodyReader.value(of: response.body, contentType: type)
        let isWhole = paths.contains { $0.isEmpty } || (value.object == nil && value.array == nil)
        let found =
            isWhole ? [SensitivePart(place: [], value: value)] : paths.flatMap { value.found(at: $0[...]) }
        guard !found.isEmpty else { return }
        parts += found.map { SensitivePart(place: [.name("body")] + $0.place, value: $0.value) }
        let shown = found.reduce(value) { $0.replacing(at: $1.place[...], by: .string(SensitivePart.mask)) }
        response.body = Self.bytes(of: shown, contentType: type)
    }

    private static func bytes(of value: Value, contentType: String?) -> [UInt8] {
        let type = ContentType(contentType ?? "application/json")
        if type.isForm, value.object != nil { return Array(FormEncoding.encode(value).utf8) }
        if type.isJSON { return JSON.bytes(value) }
        return value.content ?? JSON.bytes(value)
    }
}

// MARK: - The values of a run

/// The sensitive values of one run, and the redactors that find them in its texts.
///
/// There are few redactors for however many values: each new value comes into one of its own, and of two that know
/// about as many, one is made.
package struct SensitiveTexts: Sendable {
    private struct Group: Sendable {
        var texts: [String]
        var redactor: Redactor

        init(_ texts: [String]) {
            self.texts = texts
            redactor = Redactor(secrets: texts, mask: SensitivePart.mask)
        }
    }

    private var groups: [Group] = []
    private var known: Set<[UInt8]> = []

    package init() {}

    var isEmpty: Bool { groups.isEmpty }

    /// Searches that each text costs.
    package var searchCount: Int { groups.count }

    package mutating func add(_ parts: [SensitivePart]) {
        guard !parts.isEmpty else { return }
        let texts = parts.texts.filter { text in
            // The mask itself comes back with what was masked before.
            text.utf8.count >= Redactor.secretByteCountMin && !text.hasSameBytes(as: SensitivePart.mask)
                && known.insert(Array(text.utf8)).inserted
        }
        guard !texts.isEmpty else { return }
        groups.append(Group(texts))
        while groups.count > 1,
            groups[groups.count - 2].texts.count <= 2 * groups[groups.count - 1].texts.count
        {
            let last = groups.removeLast()
            groups[groups.count - 1] = Group(groups[groups.count - 1].texts + last.texts)
        }
    }

    fileprivate var redactors: [Redactor] { groups.map(\.redactor) }
}

/// All that is taken out of what a run records and hands on: the tenant's secrets and its own sensitive values.
struct Redaction {
    let secrets: Redactor
    let own: [Redactor]

    init(_ secrets: Redactor, _ own: SensitiveTexts, _ more: SensitiveTexts = SensitiveTexts()) {
        self.secrets = secrets
        self.own = own.redactors + more.redactors
    }

    var isEmpty: Bool { secrets.isEmpty && own.isEmpty }

    func redact(_ text: String) -> String { own.reduce(secrets.redact(text)) { $1.redact($0) } }

    func redact(_ value: Value) -> Value { own.reduce(secrets.redact(value)) { $1.redact($0) } }

    func redact(body: [UInt8], contentType: String?) -> [UInt8] {
        own.reduce(secrets.redact(body: body, contentType: contentType)) {
            $1.redact(body: $0, contentType: contentType)
        }
    }

    /// The value as it is shown, and the parts of it that hold a sensitive value.
    ///
    /// Secrets of the tenant are masked for good: an expression that needs one reads `secrets`.
    func guarded(_ value: Value) -> GuardedValue {
        let clean = secrets.redact(value)
        guard !own.isEmpty else { return GuardedValue(clean) }
        var parts: [SensitivePart] = []
        let shown = take(clean, [], &parts)
        return GuardedValue(shown, parts)
    }

    /// As ``guarded(_:)``, of a value that has such parts already.
    func guarded(_ value: GuardedValue) -> GuardedValue {
        let again = guarded(value.shown)
        return GuardedValue(again.shown, value.parts + again.parts)
    }

    private func take(
        _ value: Value, _ place: [SensitivePart.Step], _ parts: inout [SensitivePart]
    ) -> Value {
        switch value {
        case .array(let items):
            return .array(items.enumerated().map { take($0.element, place + [.index($0.offset)], &parts) })
        case .object(let object):
            // A name is no place: a map with a sensitive name is one part.
            guard object.members.allSatisfy({ member in own.allSatisfy { !$0.finds(in: member.name) } })
            else {
                parts.append(SensitivePart(place: place, value: value))
                return .string(SensitivePart.mask)
            }
            return .object(
                Object(
                    object.members.map {
                        Object.Member(name: $0.name, value: take($0.value, place + [.name($0.name)], &parts))
                    }))
        default:
            let shown = own.reduce(value) { $1.redact($0) }
            if shown != value { parts.append(SensitivePart(place: place, value: value)) }
            return shown
        }
    }
}
