import Ports
package import Values
import Workflow

/// A value that expressions can use but nobody is shown; the journal contains it sealed.
///
/// ``SensitivePart/mask`` stands in its place.
package struct SensitivePart: Sendable, Hashable {
    package enum Step: Sendable, Hashable {
        case name(String)
        /// Counted from 0.
        case index(Int)
    }

    /// The replacement for the value.
    package static let mask = "[sensitive]"

    /// Its place from the root of a value; for a response, the first name is `body` or `headers`.
    package var place: [Step]
    package var value: Value

    package init(place: [Step], value: Value) {
        self.place = place
        self.value = value
    }

    /// Its place for people, such as `body.keys[1].secret`, with items counted from 1.
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

/// A value with masks, and the parts that they hide.
package struct GuardedValue: Sendable, Hashable {
    package var shown: Value
    /// Their places are relative to the value's root.
    package var parts: [SensitivePart]

    package init(_ shown: Value, _ parts: [SensitivePart] = []) {
        self.shown = shown
        self.parts = parts
    }

    /// The value as expressions see it.
    package var value: Value { parts.restored(in: shown) }
}

/// Seals sensitive values for the journal, and opens them when a run is read back.
package protocol JournalSealer: Sendable {
    /// Seals bytes for an entry's place; they cannot be opened for another place.
    func seal(_ plaintext: [UInt8], for place: String) -> [UInt8]
    /// Opens sealed bytes; nil if they cannot be opened for this place.
    func open(_ sealed: [UInt8], for place: String) -> [UInt8]?
}

// MARK: - The stored form

extension SensitivePart {
    /// The same part of a value that is a member with this name.
    package func below(_ name: String) -> SensitivePart {
        SensitivePart(place: [.name(name)] + place, value: value)
    }

    /// `[[place…], value]` for sealing, with the value as JSON text, so that its depth does not matter.
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
    /// The value with the real parts in their places; copies the containers on the path once per part.
    func restored(in value: Value) -> Value {
        reduce(value) { $0.replacing(at: $1.place[...], by: $1.value) }
    }

    /// The headers with the real values in place of the masks.
    func restored(in headers: [HTTPHeader]) -> [HTTPHeader] {
        headers.map { header in
            let part = first { $0.place == [.name(header.name)] }
            return part.map { HTTPHeader(header.name, $0.value.text) } ?? header
        }
    }

    /// The parts below a name, with places relative to it.
    func below(_ name: String) -> [SensitivePart] {
        compactMap { part -> SensitivePart? in
            guard part.place.first == .name(name) else { return nil }
            return SensitivePart(place: part.place.dropFirst().map { $0 }, value: part.value)
        }
    }

    /// All texts of the parts, to be found in other texts.
    var texts: [String] { flatMap { $0.value.texts } }
}

extension Value {
    /// The value with another one at a place; unchanged if there is no such place.
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

    /// The parts that a path selects; empty if there are none.
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

/// A response without the parts that its step declares sensitive, and those parts.
struct GuardedAnswer {
    var response: OutboundResponse
    var parts: [SensitivePart] = []

    /// - Parameters:
    ///   - response: The response, with header names in lower case.
    ///   - paths: The step's sensitive places; those that the response does not have are ignored.
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

    /// Masks the body; one without places, such as a text, is sensitive as a whole.
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

/// The sensitive values of one run, with the redactors that find them in its texts.
///
/// Few redactors serve many values: each new set of values gets its own, and two of about the same size are
/// merged.
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

    /// The number of searches for each text.
    package var searchCount: Int { groups.count }

    /// Adds the texts of parts; known ones and those shorter than ``Redactor/secretByteCountMin`` are ignored.
    package mutating func add(_ parts: [SensitivePart]) {
        guard !parts.isEmpty else { return }
        let texts = parts.texts.filter { text in
            // A value that was masked before contains the mask itself.
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

/// Everything that is removed from recorded and outgoing texts: the tenant's secrets and the run's sensitive
/// values.
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

    /// The value with masks, and the parts that contain sensitive values.
    ///
    /// Secrets of the tenant are removed for good; an expression that needs one reads `secrets`.
    func guarded(_ value: Value) -> GuardedValue {
        let clean = secrets.redact(value)
        guard !own.isEmpty else { return GuardedValue(clean) }
        var parts: [SensitivePart] = []
        let shown = take(clean, [], &parts)
        return GuardedValue(shown, parts)
    }

    /// Like ``guarded(_:)``, for a value that has parts already.
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
            // A name has no place, so a map with a sensitive name becomes a part as a whole.
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
