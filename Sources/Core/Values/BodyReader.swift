/// Converts a body to a value by its content type: one reader for triggers, responses and signals.
///
/// | content type | value |
/// | --- | --- |
/// | any, with an empty body | null |
/// | JSON (``ContentType/isJSON``) | the JSON value; a problem if the body is not JSON |
/// | `application/x-www-form-urlencoded` | a map of texts (``Object/init(fields:)``); a problem if an escape is broken |
/// | `multipart/form-data` | a map of texts and files (``Multipart``); a problem if it is incomplete |
/// | none | JSON if it is valid JSON, otherwise as any other type |
/// | any other | a text if it is UTF-8 or valid in its `charset`, otherwise bytes |
package enum BodyReader {
    /// The meaning of a body without a content type.
    package enum Untyped: Sendable {
        /// JSON if it is valid JSON.
        case perhapsJSON
        case json
    }

    /// Reads a body.
    ///
    /// - Parameters:
    ///   - bytes: The body as received.
    ///   - contentType: The header; nil or empty if there is none.
    ///   - contentEncoding: The header; nil if there is none. A compressed body is not decoded.
    ///   - untyped: The meaning of a body without a content type.
    /// - Returns: The value.
    /// - Throws: ``BodyProblem`` if the body does not match its type.
    package static func read(
        _ bytes: [UInt8], contentType: String?, contentEncoding: String? = nil,
        untyped: Untyped = .perhapsJSON
    ) throws(BodyProblem) -> Value {
        guard !bytes.isEmpty else { return .null }
        if let contentEncoding, !isPlain(contentEncoding) {
            return try compressed(bytes, contentType: contentType, contentEncoding)
        }
        guard let contentType, !contentType.isEmpty else {
            if untyped == .json { return try json(bytes) }
            return (try? JSON.parse(bytes)) ?? Value(bytes: bytes)
        }
        // Nearly all responses have one of these, and parsing a header costs more than parsing most bodies.
        if contentType == "application/json" || contentType == "application/json; charset=utf-8" {
            return try json(bytes)
        }
        return try read(bytes, type: ContentType(contentType))
    }

    /// Like ``read(_:contentType:contentEncoding:untyped:)``, but an unreadable body becomes a text or bytes.
    package static func value(of bytes: [UInt8], contentType: String?, contentEncoding: String? = nil)
        -> Value
    {
        do throws(BodyProblem) {
            return try read(bytes, contentType: contentType, contentEncoding: contentEncoding)
        } catch {
            return Value(bytes: bytes)
        }
    }

    private static func read(_ bytes: [UInt8], type: ContentType) throws(BodyProblem) -> Value {
        if type.isMultipartForm { return .object(try Multipart.read(bytes, boundary: type["boundary"])) }
        let charset = type["charset"].map { ($0, Charset($0)) }
        if type.isJSON {
            guard let charset, charset.1 != .utf8 else { return try json(bytes) }
            return try json(bytes, charset: charset.1, named: charset.0)
        }
        if type.isForm { return try form(bytes, charset: charset.map { $0.1 } ?? .utf8) }
        return charset?.1?.text(bytes).map { .string($0) } ?? Value(bytes: bytes)
    }

    private static func json(_ bytes: [UInt8]) throws(BodyProblem) -> Value {
        do throws(JSONProblem) { return try JSON.parse(bytes) } catch {
            throw BodyProblem(.json, "\(error.reason) at byte \(error.offset)")
        }
    }

    /// Reads JSON in the given charset; JSON is UTF-8, but a sender that names another charset usually means
    /// it.
    private static func json(
        _ bytes: [UInt8], charset: Charset?, named name: String
    ) throws(BodyProblem) -> Value {
        guard let charset else {
            // A body in an unknown charset may still be UTF-8.
            do throws(BodyProblem) { return try json(bytes) } catch {
                throw BodyProblem(.json, "\(error.reason), and its charset \(name.prefix(40)) is not known")
            }
        }
        guard let text = charset.text(bytes) else {
            throw BodyProblem(.json, "it is not in the charset \(name.prefix(40)) that its type names")
        }
        return try json(Array(text.utf8))
    }

    private static func form(_ bytes: [UInt8], charset: Charset?) throws(BodyProblem) -> Value {
        // `curl -d '{"a":1}'` claims to send a form. No form begins with a brace, which would be escaped.
        if bytes.first == UInt8(ascii: "{"), let value = try? JSON.parse(bytes) { return value }
        var fields: [(name: String, value: Value)] = []
        for part in bytes.split(separator: UInt8(ascii: "&")) {
            let halves = part.split(
                separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Percent.decode(halves[0], plusIsSpace: true),
                let value = Percent.decode(halves.count > 1 ? halves[1] : [], plusIsSpace: true)
            else {
                throw BodyProblem(.form, "a % without two hex digits at byte \(brokenEscape(in: part))")
            }
            guard let nameText = (charset ?? .utf8).text(name) else {
                throw BodyProblem(.form, "a name is not UTF-8 at byte \(part.startIndex)")
            }
            let text = charset.flatMap { $0 == .utf8 ? nil : $0.text(value) }
            fields.append((nameText, text.map { .string($0) } ?? Value(bytes: value)))
        }
        return .object(Object(fields: fields))
    }

    private static func brokenEscape(in part: ArraySlice<UInt8>) -> Int {
        part.indices.first { index in
            guard part[index] == UInt8(ascii: "%") else { return false }
            let digits = part[(index + 1)...].prefix(2)
            return digits.count < 2 || digits.contains { Hex.digit($0) == nil }
        } ?? part.startIndex
    }

    // MARK: - Compression

    private static func isPlain(_ encoding: String) -> Bool {
        encoding.utf8.split { $0 == UInt8(ascii: ",") || $0 == 0x20 || $0 == 0x09 }.allSatisfy {
            $0.map(\.lowercasedASCII).elementsEqual("identity".utf8)
        }
    }

    /// Keeps a compressed body as bytes if its type is none that would be parsed.
    private static func compressed(
        _ bytes: [UInt8], contentType: String?, _ encoding: String
    ) throws(BodyProblem) -> Value {
        let type = ContentType(contentType ?? "")
        guard type.isJSON || type.isForm || type.isMultipartForm else { return Value(bytes: bytes) }
        throw BodyProblem(
            .compressed, "it is compressed (Content-Encoding: \(encoding.prefix(40))); send it uncompressed")
    }
}

/// Why a body does not match its content type.
package struct BodyProblem: Error, Sendable, Hashable {
    package enum Format: Sendable, Hashable {
        case json, form, multipart, compressed
    }

    package let format: Format
    /// A clause, such as `unexpected character at byte 0`; offsets count from 0.
    package let reason: String

    init(_ format: Format, _ reason: String) {
        self.format = format
        self.reason = reason
    }

    /// A sentence about `subject`, such as `the body is not JSON: unexpected character at byte 0`.
    package func message(about subject: String) -> String {
        switch format {
        case .json: "\(subject) is not JSON: \(reason)"
        case .form: "\(subject) is not a form: \(reason)"
        case .multipart: "\(subject) is not multipart/form-data: \(reason)"
        case .compressed: "\(subject) cannot be read: \(reason)"
        }
    }
}

extension Object {
    /// Builds an object from fields whose names may repeat, in a query, a form or `multipart/form-data`.
    ///
    /// A name that occurs once has its value. One that occurs several times has a list of its values in
    /// order. One that ends in `[]` always has a list.
    package init(fields: [(name: String, value: Value)]) {
        var positions = Object()
        var groups: [(name: String, values: [Value])] = []
        for field in fields {
            if case .int(let position)? = positions[field.name] {
                groups[Int(position)].values.append(field.value)
            } else {
                positions.append(field.name, .int(Int64(groups.count)))
                groups.append((field.name, [field.value]))
            }
        }
        self.init()
        reserveCapacity(groups.count)
        for group in groups {
            let isList = group.values.count > 1 || group.name.utf8.suffix(2).elementsEqual("[]".utf8)
            append(group.name, isList ? .array(group.values) : group.values[0])
        }
    }
}
