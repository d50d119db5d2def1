import CMicroHTTPShim
import Ports
import Values

/// A request line with headers that passed all checks.
struct RequestHead {
    var method: String
    var path: String
    var segments: [String]
    var query: [(name: String, value: String)]
    var headers: [HTTPHeader]
    /// 0 if the request declares no length.
    var contentLength: Int
    /// Whether the end of the body is where the chunks end.
    var isChunked: Bool

    /// Reads the head of the request that `handle` has just received.
    ///
    /// - Returns: The head, or the first check that it failed.
    static func read(
        _ raw: Exchange.RawHead, target: String, from handle: OpaquePointer, limits: ListenerLimits
    ) -> Result<RequestHead, RequestRefusal> {
        let targetByteCountMax = limits.headerByteCountMax / 2
        guard target.utf8.count <= targetByteCountMax else { return .failure(.targetTooLong) }
        var fields = millrace_http_head()
        millrace_http_read_head(
            handle, raw.method, raw.url, raw.version, target.utf8.count, max(0, limits.headerCountMax),
            &fields)
        if fields.byte_count > limits.headerByteCountMax { return .failure(.headersTooLarge) }
        // With too many fields only some were examined, so the flaws below would mean nothing.
        if fields.flaws & UInt32(MILLRACE_HTTP_FLAW_TOO_MANY) != 0 { return .failure(.headersTooLarge) }
        if fields.flaws & UInt32(MILLRACE_HTTP_FLAW_FRAMING) != 0 { return .failure(.badFraming) }
        if fields.flaws & UInt32(MILLRACE_HTTP_FLAW_HOST) != 0 { return .failure(.badHost) }
        guard fields.content_length <= limits.bodyByteCountMax else { return .failure(.bodyTooLarge) }
        guard let parsed = RequestTarget(target) else { return .failure(.badTarget) }
        var headers: [HTTPHeader] = []
        headers.reserveCapacity(fields.field_count)
        for field in UnsafeBufferPointer(start: fields.fields, count: fields.field_count) {
            guard let name = text(field.name, field.name_size),
                let value = text(field.value, field.value_size)
            else { return .failure(.badHeader) }
            // The shim writes names in lower case.
            let header = HTTPHeader(name, value)
            if header.name == "host", !value.utf8.allSatisfy(isAuthorityByte) { return .failure(.badHost) }
            if isSingle(header.name), headers.contains(where: { $0.name == header.name }) {
                return .failure(.repeatedHeader)
            }
            headers.append(header)
        }
        if let authority = parsed.authority {
            for index in headers.indices where headers[index].name == "host" {
                headers[index].value = authority
            }
        }
        return .success(
            RequestHead(
                method: String(cString: raw.method), path: parsed.path, segments: parsed.segments,
                query: parsed.query, headers: headers,
                contentLength: Int(clamping: max(0, fields.content_length)),
                isChunked: headers.contains { $0.name == "transfer-encoding" }))
    }

    /// Whether a second header of that name would make the framing of the body ambiguous.
    private static func isSingle(_ name: String) -> Bool {
        name == "content-type" || name == "content-encoding"
    }

    /// The characters of a host and port (RFC 3986, 3.2), without `@`, because Host contains no user.
    private static func isAuthorityByte(_ byte: UInt8) -> Bool {
        WebAddress.isHostByte(byte) || "~%!$&'()*+,;=".utf8.contains(byte)
    }

    /// Nil if it is not UTF-8: replacing bytes could make two values equal that were signed or deduplicated separately.
    private static func text(_ start: UnsafePointer<CChar>, _ count: Int) -> String? {
        String(validating: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
    }
}

/// A parsed request target in origin form (`/a?b`) or in absolute form (`http://host/a?b`).
///
/// RFC 9112, 3.2.2, requires servers to accept the absolute form.
struct RequestTarget {
    /// The authority of the absolute form, which replaces the Host header.
    var authority: String?
    var path: String
    /// Empty for `/`; the last segment of `/a/` is empty.
    var segments: [String]
    var query: [(name: String, value: String)]

    /// Nil unless the path starts with a slash, has only visible ASCII, and decodes to UTF-8 without NUL.
    init?(_ target: String) {
        var target = target
        if !target.utf8.starts(with: "/".utf8) {
            guard let parts = Self.absolute(target) else { return nil }
            guard let read = RequestTarget(parts.target) else { return nil }
            self = read
            authority = parts.authority
            return
        }
        guard let read = target.withUTF8({ RequestTarget(bytes: $0) }) else { return nil }
        self = read
    }

    private init?(bytes: UnsafeBufferPointer<UInt8>) {
        guard bytes.first == UInt8(ascii: "/") else { return nil }
        var isPlain = true
        var pathEnd = bytes.count
        for index in bytes.indices {
            switch bytes[index] {
            case UInt8(ascii: "?"): if pathEnd == bytes.count { pathEnd = index }
            case UInt8(ascii: "#"): return nil
            case UInt8(ascii: "%"): isPlain = false
            case 0x21...0x7E: break
            default: return nil
            }
        }
        path = Self.text(bytes[..<pathEnd])
        guard let segments = Self.segments(of: bytes[1..<pathEnd], isPlain: isPlain) else { return nil }
        self.segments = segments
        query = []
        if pathEnd < bytes.count {
            guard let query = FormEncoding.pairs(Array(bytes[(pathEnd + 1)...])) else { return nil }
            self.query = query
        }
    }

    /// Splits an absolute form into authority and origin form; a user name is refused (RFC 9110, 4.2.4).
    private static func absolute(_ target: String) -> (authority: String, target: String)? {
        let lower = target.prefix(8).lowercased()
        guard lower.hasPrefix("http://") || lower == "https://" else { return nil }
        let rest = target.utf8.dropFirst(lower == "https://" ? 8 : 7)
        let end = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? rest.endIndex
        let authority = rest[..<end]
        guard !authority.isEmpty, authority.allSatisfy(WebAddress.isHostByte) else { return nil }
        let origin = String(rest[end...]) ?? ""
        return (String(authority) ?? "", origin.hasPrefix("/") ? origin : "/" + origin)
    }

    private static func text(_ bytes: Slice<UnsafeBufferPointer<UInt8>>) -> String {
        String(decoding: UnsafeBufferPointer(rebasing: bytes), as: UTF8.self)
    }

    private static func segments(of path: Slice<UnsafeBufferPointer<UInt8>>, isPlain: Bool) -> [String]? {
        guard !path.isEmpty else { return [] }
        var segments: [String] = []
        segments.reserveCapacity(4)
        var rest = path
        while true {
            let end = rest.firstIndex(of: UInt8(ascii: "/")) ?? rest.endIndex
            if isPlain {
                segments.append(text(rest[..<end]))
            } else {
                guard let decoded = Percent.decode(rest[..<end], plusIsSpace: false), !decoded.contains(0),
                    let text = String(validating: decoded, as: UTF8.self)
                else { return nil }
                segments.append(text)
            }
            guard end < rest.endIndex else { return segments }
            rest = rest[(end + 1)...]
        }
    }
}
