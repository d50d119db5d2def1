/// `multipart/form-data` (RFC 7578), read and written.
///
/// A part with a file name becomes a map of `filename`, `content_type` (null if the part has none) and
/// `content`. Any other part becomes a text, or bytes if it is not UTF-8. ``Object/init(fields:)`` combines
/// repeated names.
package enum Multipart {
    /// Reads a body.
    ///
    /// - Parameters:
    ///   - bytes: The whole body.
    ///   - boundary: The parameter of the content type.
    /// - Returns: The fields and files by name.
    /// - Throws: ``BodyProblem`` if there is no boundary, the closing one is missing, or a part has no name.
    static func read(_ bytes: [UInt8], boundary: String?) throws(BodyProblem) -> Object {
        guard let boundary, !boundary.isEmpty, boundary.utf8.count <= 200 else {
            throw problem("its content type names no boundary")
        }
        let reader = MultipartReader(bytes: bytes, delimiter: Array("--\(boundary)".utf8))
        var fields: [(name: String, value: Value)] = []
        for part in try reader.parts() { fields.append(try field(part, of: bytes)) }
        return Object(fields: fields)
    }

    fileprivate static func problem(_ reason: String) -> BodyProblem { BodyProblem(.multipart, reason) }

    private static func field(
        _ part: MultipartReader.Part, of bytes: [UInt8]
    ) throws(BodyProblem) -> (name: String, value: Value) {
        let disposition = ContentType(part.headers["content-disposition"] ?? "")
        guard disposition.type == "form-data", let name = disposition["name"] else {
            throw problem("the part at byte \(part.start) has no Content-Disposition with a name")
        }
        let content = Array(bytes[part.content])
        let type = part.headers["content-type"]
        if let filename = filename(disposition) {
            return (
                name,
                [
                    "filename": .string(filename), "content_type": type.map { .string($0) } ?? .null,
                    "content": Value(bytes: content),
                ]
            )
        }
        let charset = type.flatMap { ContentType($0)["charset"] }.flatMap { Charset($0) }
        return (name, charset?.text(content).map { .string($0) } ?? Value(bytes: content))
    }

    /// The file name; `filename*` (RFC 5987) takes precedence over `filename`, which serves old readers then.
    private static func filename(_ disposition: ContentType) -> String? {
        if let extended = disposition["filename*"] {
            let parts = extended.split(separator: "'", maxSplits: 2, omittingEmptySubsequences: false)
            if parts.count == 3, let bytes = Percent.decode(parts[2].utf8, plusIsSpace: false),
                let text = Charset(String(parts[0]))?.text(bytes)
            {
                return text
            }
        }
        return disposition["filename"]
    }
}

/// Finds the parts of a multipart body.
private struct MultipartReader {
    struct Part {
        var start: Int
        /// Names in lower case.
        var headers: [String: String]
        var content: Range<Int>
    }

    let bytes: [UInt8]
    /// Two hyphens and the boundary.
    let delimiter: [UInt8]

    func parts() throws(BodyProblem) -> [Part] {
        var parts: [Part] = []
        var position = try firstLineAfterDelimiter()
        while let start = position {
            let (headers, contentStart) = try headers(at: start)
            guard let end = nextDelimiter(from: contentStart) else {
                throw Multipart.problem("the part at byte \(start) does not end: the body is cut off")
            }
            let contentEnd = max(contentStart, end - (end >= 2 && bytes[end - 2] == 0x0D ? 2 : 1))
            parts.append(Part(start: start, headers: headers, content: contentStart..<contentEnd))
            position = try line(after: end)
        }
        return parts
    }

    /// The start of the first part; text before the first delimiter is ignored.
    private func firstLineAfterDelimiter() throws(BodyProblem) -> Int? {
        guard let first = nextDelimiter(from: 0) else {
            throw Multipart.problem("the boundary that its content type names is not in it")
        }
        return try line(after: first)
    }

    /// The start of the line after a delimiter; nil after the closing one.
    private func line(after start: Int) throws(BodyProblem) -> Int? {
        var position = start + delimiter.count
        if bytes[position...].starts(with: "--".utf8) { return nil }
        while position < bytes.count, bytes[position] == 0x20 || bytes[position] == 0x09 { position += 1 }
        if position + 1 < bytes.count, bytes[position] == 0x0D { position += 1 }
        guard position < bytes.count, bytes[position] == 0x0A else {
            throw Multipart.problem("a boundary is not alone on its line at byte \(start)")
        }
        return position + 1
    }

    /// The next delimiter that starts a line, at `start` or later.
    private func nextDelimiter(from start: Int) -> Int? {
        bytes.withUnsafeBufferPointer { buffer in
            var position = start
            while position + delimiter.count <= buffer.count {
                let isLineStart = position == 0 || buffer[position - 1] == 0x0A
                if isLineStart, isDelimiter(at: position, in: buffer) { return position }
                position += 1
            }
            return nil
        }
    }

    /// Whether the delimiter is at `position` and is not merely the beginning of a longer one.
    private func isDelimiter(at position: Int, in buffer: UnsafeBufferPointer<UInt8>) -> Bool {
        for offset in delimiter.indices where buffer[position + offset] != delimiter[offset] { return false }
        var end = position + delimiter.count
        // Two hyphens close the form; one alone belongs to a longer boundary.
        if end + 1 < buffer.count, buffer[end] == 0x2D, buffer[end + 1] == 0x2D { end += 2 }
        guard end < buffer.count else { return true }
        return [0x0D, 0x0A, 0x20, 0x09].contains(buffer[end])
    }

    /// The headers of a part, and the start of its content.
    private func headers(at start: Int) throws(BodyProblem) -> ([String: String], Int) {
        var headers: [String: String] = [:]
        var position = start
        while true {
            guard let end = bytes[position...].firstIndex(of: 0x0A) else {
                throw Multipart.problem("the headers of the part at byte \(start) do not end")
            }
            var line = bytes[position..<end]
            if line.last == 0x0D { line = line.dropLast() }
            position = end + 1
            if line.isEmpty { return (headers, position) }
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else {
                throw Multipart.problem("a header of the part at byte \(start) has no colon")
            }
            guard let text = String(validating: line[(colon + 1)...], as: UTF8.self) else {
                throw Multipart.problem("a header of the part at byte \(start) is not UTF-8")
            }
            let name = String(decoding: line[..<colon], as: UTF8.self).lowercased()
            // Two readers would choose differently between them.
            guard headers.updateValue(Self.trimmed(text), forKey: name) == nil || !name.hasPrefix("content-")
            else { throw Multipart.problem("the part at byte \(start) has \(name.prefix(40)) twice") }
        }
    }

    private static func trimmed(_ text: String) -> String {
        let isBlank = { (character: UInt8) in character == 0x20 || character == 0x09 }
        let bytes = Array(text.utf8)
        let front = bytes.drop(while: isBlank)
        let back = front.reversed().drop(while: isBlank).reversed()
        return String(decoding: Array(back), as: UTF8.self)
    }
}

// MARK: - Writing

extension Multipart {
    /// Why a value cannot be written.
    package struct Fault: Error, Sendable, Hashable {
        package let reason: String
    }

    /// Writes a map as a form with fields and files.
    ///
    /// A map with `content`, and no members but `filename` and `content_type` beside it, becomes a file or a
    /// part with a type. A list becomes one part per item. Null becomes an empty text.
    ///
    /// - Parameters:
    ///   - object: The fields by name.
    ///   - seed: Determines the boundary, so that the same request always has the same bytes.
    /// - Returns: The body and its boundary.
    /// - Throws: ``Fault`` if a value cannot be part of a form.
    package static func write(
        _ object: Object, seed: UInt64
    ) throws(Fault) -> (bytes: [UInt8], boundary: String) {
        var parts: [(head: [UInt8], content: [UInt8])] = []
        for member in object.members {
            if case .array(let items) = member.value {
                for item in items { parts.append(try part(item, named: member.name)) }
            } else {
                parts.append(try part(member.value, named: member.name))
            }
        }
        let boundary = boundary(notIn: parts.map(\.content), seed: seed)
        var out: [UInt8] = []
        for part in parts {
            out += "--\(boundary)\r\n".utf8
            out += part.head
            out += part.content
            out += "\r\n".utf8
        }
        out += "--\(boundary)--\r\n".utf8
        return (out, boundary)
    }

    private static func part(
        _ value: Value, named name: String
    ) throws(Fault) -> (head: [UInt8], content: [UInt8]) {
        var head = "Content-Disposition: form-data; name=\"\(escaped(name))\""
        var content: [UInt8]
        switch value {
        case .object(let object):
            guard let inner = object["content"],
                object.members.allSatisfy({ ["content", "filename", "content_type"].contains($0.name) })
            else {
                throw Fault(
                    reason:
                        "\(name): a map in multipart/form-data has content, and may have filename and content_type"
                )
            }
            if let filename = object["filename"], !filename.isNull {
                head += "; filename=\"\(escaped(filename.text))\""
            }
            let isFile = object["filename"].map { !$0.isNull } ?? false
            let type = object["content_type"].flatMap { $0.isNull ? nil : $0.text }
            if let type = type ?? defaultType(inner, isFile: isFile) {
                guard !type.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
                    throw Fault(reason: "\(name): its content_type contains a control character")
                }
                head += "\r\nContent-Type: \(type)"
            }
            content = inner.content ?? (inner.isNull ? [] : JSON.bytes(inner))
        case .array:
            throw Fault(reason: "\(name): a list inside of a list has no place in multipart/form-data")
        default: content = value.content ?? Array(value.text.utf8)
        }
        return (Array("\(head)\r\n\r\n".utf8), content)
    }

    private static func defaultType(_ content: Value, isFile: Bool) -> String? {
        switch content {
        case .array, .object: "application/json"
        default: isFile ? "application/octet-stream" : nil
        }
    }

    /// Escapes a name as browsers do: characters that would end the quoted text are percent-encoded.
    private static func escaped(_ text: String) -> String {
        var out: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): out += "%22".utf8
            case 0x0D: out += "%0D".utf8
            case 0x0A: out += "%0A".utf8
            default: out.append(byte)
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    private static func boundary(notIn contents: [[UInt8]], seed: UInt64) -> String {
        var number = seed
        while true {
            let digits = Hex.encode((0..<8).map { UInt8(truncatingIfNeeded: number >> (UInt64($0) * 8)) })
            let boundary = "millrace-\(digits)"
            if !contents.contains(where: { $0.holds(Array(boundary.utf8)) }) { return boundary }
            number = number &* 6_364_136_223_846_793_005 &+ 1
        }
    }
}

extension [UInt8] {
    fileprivate func holds(_ needle: [UInt8]) -> Bool {
        guard count >= needle.count else { return false }
        return withUnsafeBufferPointer { bytes in
            (0...(bytes.count - needle.count)).contains { start in
                needle.indices.allSatisfy { bytes[start + $0] == needle[$0] }
            }
        }
    }
}
