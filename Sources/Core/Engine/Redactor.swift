package import Values

/// Removes secret values from texts that are about to be stored or shown (I9).
///
/// It finds each value as it is, and as programs encode it: percent-encoded, in JSON or source code escapes,
/// in HTML character references, in base64 at any alignment, in hexadecimal, and in several of these layers.
/// The time is linear in the text. A value that a step transformed otherwise, such as a hash or a part, is
/// not recognised; the docs say so.
package struct Redactor: Sendable {
    /// Shorter secrets cannot be told from coincidences and are refused when they are set.
    package static let secretByteCountMin = 6
    /// The replacement for a secret.
    package static let secretMask = "[secret]"

    /// Most layers of escapes that are decoded.
    private static let escapeDepthMax = 4
    /// Most layers of base64 and hexadecimal that are decoded.
    private static let binaryDepthMax = 2

    private let search: PatternSearch?
    private let mask: [UInt8]
    /// Whether a secret may look like a number.
    private let hasNumbers: Bool

    /// - Parameters:
    ///   - secrets: The values to find; those shorter than ``secretByteCountMin`` are ignored.
    ///   - mask: Their replacement.
    package init(secrets: some Sequence<String>, mask: String = Redactor.secretMask) {
        var patterns: Set<[UInt8]> = []
        for secret in secrets where secret.utf8.count >= Self.secretByteCountMin {
            patterns.formUnion(Self.forms(of: secret).filter { $0.count >= Self.secretByteCountMin })
        }
        search = patterns.isEmpty ? nil : PatternSearch(patterns)
        self.mask = Array(mask.utf8)
        hasNumbers = patterns.contains { $0.allSatisfy(Self.isNumberByte) }
    }

    /// The value, its unescaped forms (for texts that are unescaped around it), and its Latin-1 bytes.
    private static func forms(of secret: String) -> [[UInt8]] {
        var forms = [Array(secret.utf8)]
        while forms.count <= escapeDepthMax,
            let plain = forms[forms.count - 1].withUnsafeBufferPointer({ Unescaping($0)?.bytes })
        {
            forms.append(plain)
        }
        let scalars = secret.unicodeScalars
        if forms[0].count > scalars.count, scalars.allSatisfy({ $0.value < 0x100 }) {
            forms.append(scalars.map { UInt8(truncatingIfNeeded: $0.value) })
        }
        return forms
    }

    private static func isNumberByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "+"),
            UInt8(ascii: "e"), UInt8(ascii: "E"):
            true
        default: false
        }
    }

    package var isEmpty: Bool { search == nil }
}

// MARK: - Texts

extension Redactor {
    /// Whether the text contains a secret in any form.
    package func finds(in text: String) -> Bool { redacted(text) != nil }

    package func redact(_ bytes: [UInt8]) -> [UInt8] { redacted(bytes) ?? bytes }

    package func redact(_ text: String) -> String { redacted(text) ?? text }

    /// Nil if there is no secret in it.
    func redacted(_ bytes: [UInt8]) -> [UInt8]? {
        guard let search, bytes.count >= search.byteCountMin else { return nil }
        return bytes.withUnsafeBufferPointer { redacted($0, search) }
    }

    /// Nil if there is no secret in it.
    func redacted(_ text: String) -> String? {
        guard let search, text.utf8.count >= search.byteCountMin else { return nil }
        var text = text
        return text.withUTF8 { redacted($0, search) }.map { String(decoding: $0, as: UTF8.self) }
    }

    private func redacted(_ text: UnsafeBufferPointer<UInt8>, _ search: PatternSearch) -> [UInt8]? {
        let ranges = Self.ranges(
            of: search, in: text, escapeDepth: Self.escapeDepthMax, binaryDepth: Self.binaryDepthMax)
        guard !ranges.isEmpty else { return nil }
        var out: [UInt8] = []
        out.reserveCapacity(text.count)
        var start = 0
        for range in Self.merged(ranges) {
            out.append(contentsOf: text[start..<range.lowerBound])
            out.append(contentsOf: mask)
            start = range.upperBound
        }
        out.append(contentsOf: text[start...])
        return out
    }

    /// Merges overlapping ranges; adjacent ones stay separate.
    private static func merged(_ ranges: [Range<Int>]) -> [Range<Int>] {
        var merged: [Range<Int>] = []
        for range in ranges.sorted(by: { ($0.lowerBound, $0.upperBound) < ($1.lowerBound, $1.upperBound) }) {
            guard let last = merged.last, range.lowerBound < last.upperBound else {
                merged.append(range)
                continue
            }
            merged[merged.count - 1] = last.lowerBound..<max(last.upperBound, range.upperBound)
        }
        return merged
    }

    /// The ranges of patterns, plain or behind that many layers of encodings; unordered.
    private static func ranges(
        of search: PatternSearch, in text: UnsafeBufferPointer<UInt8>, escapeDepth: Int, binaryDepth: Int
    ) -> [Range<Int>] {
        guard text.count >= search.byteCountMin else { return [] }
        var found = search.ranges(in: text)
        if binaryDepth > 0 {
            BinaryRuns(byteCountMin: search.byteCountMin).forEach(in: text) { piece in
                let inner = piece.bytes.withUnsafeBufferPointer {
                    ranges(of: search, in: $0, escapeDepth: escapeDepth, binaryDepth: binaryDepth - 1)
                }
                for range in inner { found.append(piece.origin(of: range)) }
            }
        }
        guard escapeDepth > 0, let plain = Unescaping(text) else { return found }
        let inner = plain.bytes.withUnsafeBufferPointer {
            ranges(of: search, in: $0, escapeDepth: escapeDepth - 1, binaryDepth: binaryDepth)
        }
        // Most texts with escapes contain no secret, so the origins of bytes are computed only now.
        guard !inner.isEmpty, let traced = Unescaping(text, keepsOrigins: true) else { return found }
        for range in inner {
            let (first, last) = (traced.origins[range.lowerBound], traced.origins[range.upperBound - 1])
            found.append(Int(first.lowerBound)..<Int(last.upperBound))
        }
        return found
    }
}

// MARK: - Values

extension Redactor {
    package func redact(_ value: Value) -> Value { redacted(value) ?? value }

    /// Nil if there is no secret in it.
    func redacted(_ value: Value) -> Value? {
        guard search != nil else { return nil }
        switch value {
        case .string(let text): return redacted(text).map { .string($0) }
        case .bytes(let bytes): return redacted(bytes).map { Value(bytes: $0) }
        case .int, .number: return hasNumbers ? redacted(value.text).map { .string($0) } : nil
        case .array(let items): return redacted(items).map { .array($0) }
        case .object(let object): return redacted(object).map { .object($0) }
        case .null, .bool: return nil
        }
    }

    private func redacted(_ items: [Value]) -> [Value]? {
        var result: [Value]?
        for (index, item) in items.enumerated() {
            guard let redacted = redacted(item) else { continue }
            if result == nil { result = items }
            result?[index] = redacted
        }
        return result
    }

    private func redacted(_ object: Object) -> Object? {
        var members: [Object.Member]?
        var isRenamed = false
        for (index, member) in object.members.enumerated() {
            let (name, value) = (redacted(member.name), redacted(member.value))
            guard name != nil || value != nil else { continue }
            if members == nil { members = object.members }
            members?[index] = Object.Member(name: name ?? member.name, value: value ?? member.value)
            isRenamed = isRenamed || name != nil
        }
        guard let members else { return nil }
        return Object(isRenamed ? Self.withDistinctNames(members) : members)
    }

    /// Numbers repeated names, so that no member is lost if several names were secrets.
    private static func withDistinctNames(_ members: [Object.Member]) -> [Object.Member] {
        var taken = Set(members.map { Array($0.name.utf8) })
        var seen: [[UInt8]: Int] = [:]
        return members.map { member in
            let name = Array(member.name.utf8)
            var count = seen[name, default: 0]
            defer { seen[name] = count }
            count += 1
            guard count > 1 else { return member }
            var numbered = name + Array(" \(count)".utf8)
            while !taken.insert(numbered).inserted {
                count += 1
                numbered = name + Array(" \(count)".utf8)
            }
            return Object.Member(name: String(decoding: numbered, as: UTF8.self), value: member.value)
        }
    }
}

// MARK: - Bodies

extension Redactor {
    /// A body without secrets; a JSON body stays JSON, even if a number was a secret.
    ///
    /// - Parameters:
    ///   - body: Any bytes.
    ///   - contentType: The header; nil means JSON, as in ``BodyReader``.
    /// - Returns: The same bytes if there is no secret in them.
    package func redact(body: [UInt8], contentType: String?) -> [UInt8] {
        guard let masked = redacted(body) else { return body }
        guard ContentType(contentType ?? "json").isJSON, let value = try? JSON.parse(body),
            (try? JSON.parse(masked)) == nil
        else { return masked }
        let written = JSON.bytes(redact(value))
        // A secret may also span several values.
        return redacted(written) ?? written
    }
}
