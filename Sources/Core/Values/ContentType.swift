/// The parsed value of a `Content-Type` header, or of another header with parameters.
package struct ContentType: Sendable, Hashable {
    package struct Parameter: Sendable, Hashable {
        /// In lower case.
        package var name: String
        package var value: String
    }

    /// The part before the first semicolon, in lower case, such as `application/json`.
    package let type: String
    package let parameters: [Parameter]

    package init(_ text: String) {
        var reader = ParameterReader(bytes: Array(text.utf8))
        type = reader.token(until: [UInt8(ascii: ";"), UInt8(ascii: ",")]).lowercased()
        parameters = reader.parameters()
    }

    /// The value of the first parameter with this name.
    package subscript(_ name: String) -> String? {
        parameters.first { $0.name.hasSameBytes(as: name) }?.value
    }

    /// Whether the content is a single JSON value.
    ///
    /// `json` must be a word of the subtype, as in `application/hal+json` and `application/x-amz-json-1.1`.
    /// Sequences of values, such as `application/json-seq`, are excluded.
    package var isJSON: Bool {
        guard let slash = type.utf8.firstIndex(of: UInt8(ascii: "/")) else { return type == "json" }
        let separators: [UInt8] = [
            UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "/"),
        ]
        let words = type.utf8[slash...].split { separators.contains($0) }
        return words.contains { $0.elementsEqual("json".utf8) }
            && !words.contains { $0.elementsEqual("seq".utf8) }
    }

    package var isForm: Bool { type == "application/x-www-form-urlencoded" }

    package var isMultipartForm: Bool { type == "multipart/form-data" }
}

/// Parses `a; b=c; d="e"`.
private struct ParameterReader {
    let bytes: [UInt8]
    private var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    /// Reads up to one of `ends`, and removes surrounding blanks.
    mutating func token(until ends: [UInt8]) -> String {
        let start = position
        while let byte = next, !ends.contains(byte) { position += 1 }
        return Self.trimmed(bytes[start..<position])
    }

    mutating func parameters() -> [ContentType.Parameter] {
        var found: [ContentType.Parameter] = []
        while next == UInt8(ascii: ";") {
            position += 1
            let name = token(until: [UInt8(ascii: "="), UInt8(ascii: ";"), UInt8(ascii: ",")]).lowercased()
            guard next == UInt8(ascii: "=") else { continue }
            position += 1
            while next == 0x20 || next == 0x09 { position += 1 }
            let value = next == UInt8(ascii: "\"") ? quoted() : token(until: [UInt8(ascii: ";")])
            if !name.isEmpty { found.append(.init(name: name, value: value)) }
        }
        return found
    }

    private mutating func quoted() -> String {
        position += 1
        var out: [UInt8] = []
        while let byte = next, byte != UInt8(ascii: "\"") {
            position += 1
            // A `\` escapes only a quote or another `\`; Windows file names contain plain ones.
            if byte == UInt8(ascii: "\\"), let escaped = next,
                escaped == UInt8(ascii: "\"") || escaped == UInt8(ascii: "\\")
            {
                out.append(escaped)
                position += 1
            } else {
                out.append(byte)
            }
        }
        _ = token(until: [UInt8(ascii: ";")])
        return String(decoding: out, as: UTF8.self)
    }

    private static func trimmed(_ slice: ArraySlice<UInt8>) -> String {
        let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
        let front = slice.drop(while: isBlank)
        let count = (front.lastIndex { !isBlank($0) } ?? front.startIndex - 1) + 1 - front.startIndex
        return String(decoding: front.prefix(count), as: UTF8.self)
    }
}
