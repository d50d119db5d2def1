import Ports
import Values

/// The result of checking a request: no part of it can end a line or change the framing.
struct RequestCheck: Sendable {
    struct Refusal: Error, Sendable {
        let reason: String
    }

    /// Host and port as the URL writes them, in lower case.
    let authority: String
    let setsUserAgent: Bool
    let setsAccept: Bool
    let setsAcceptEncoding: Bool
    let setsContentType: Bool

    static let urlByteCountMax = 32 << 10
    static let methodByteCountMax = 32
    static let headerCountMax = 128
    static let headerByteCountMax = 64 << 10

    init(_ request: OutboundRequest) throws(Refusal) {
        try Self.checkMethod(request)
        authority = try Self.authority(of: request.url)
        var (userAgent, accept, acceptEncoding, contentType) = (false, false, false, false)
        var byteCount = 0
        if request.headers.count > Self.headerCountMax {
            throw Refusal(reason: "more than \(Self.headerCountMax) headers")
        }
        let headers = request.headers
        for index in headers.indices {
            byteCount += try Self.byteCount(ofChecked: headers[index])
            switch headers[index].name.utf8.count {
            case 6 where Self.matches(headers[index].name.utf8, "accept"): accept = true
            case 10 where Self.matches(headers[index].name.utf8, "user-agent"): userAgent = true
            case 12 where Self.matches(headers[index].name.utf8, "content-type"): contentType = true
            case 15 where Self.matches(headers[index].name.utf8, "accept-encoding"): acceptEncoding = true
            default: break
            }
        }
        if byteCount > Self.headerByteCountMax { throw Refusal(reason: "headers are larger than 64 KiB") }
        (setsUserAgent, setsAccept, setsContentType) = (userAgent, accept, contentType)
        setsAcceptEncoding = acceptEncoding
    }

    // MARK: - Method

    private static func checkMethod(_ request: OutboundRequest) throws(Refusal) {
        let method = request.method
        guard !method.isEmpty, method.utf8.count <= methodByteCountMax, method.utf8.allBytes(isTokenByte)
        else {
            throw Refusal(reason: "the method is not a token such as GET")
        }
        if method == "CONNECT" { throw Refusal(reason: "the method CONNECT is for proxies") }
        if method == "HEAD", !request.body.isEmpty { throw Refusal(reason: "a HEAD request has no body") }
    }

    // MARK: - URL

    /// The part between `//` and the path, in lower case; libcurl's parser checks the rest of the URL.
    private static func authority(of url: String) throws(Refusal) -> String {
        let bytes = url.utf8
        if bytes.count > urlByteCountMax { throw Refusal(reason: "the URL is longer than 32 KiB") }
        guard bytes.allBytes(isURLByte) else {
            throw Refusal(reason: "the URL contains a space, a backslash, a control or a non-ASCII character")
        }
        guard let start = matches(bytes, "http://") ? 7 : matches(bytes, "https://") ? 8 : nil else {
            throw Refusal(reason: "the URL does not begin with http:// or https://")
        }
        var url = url
        let lowered = url.withUTF8 { bytes in
            let rest = bytes[start...]
            let end = rest.firstIndex { $0 == 0x2F || $0 == 0x3F || $0 == 0x23 } ?? rest.endIndex
            var lowered = rest[..<end].map(\.lowercasedASCII)
            // The scheme decides the default port, so it is part of the key.
            if start == 8 { lowered += [0x2F, 0x73] }
            return lowered
        }
        if lowered.count == (start == 8 ? 2 : 0) { throw Refusal(reason: "the URL names no host") }
        if lowered.contains(0x40) { throw Refusal(reason: "the URL contains a user name") }
        return String(decoding: lowered, as: UTF8.self)
    }

    private static func isURLByte(_ byte: UInt8) -> Bool { byte > 0x20 && byte < 0x7F && byte != 0x5C }

    // MARK: - Headers

    /// Whether only the transport may set this header; compares lengths before names.
    private static func isRefused(_ name: String.UTF8View) -> Bool {
        switch name.count {
        case 2 where matches(name, "te"), 4 where matches(name, "host"), 6 where matches(name, "expect"),
            7 where matches(name, "upgrade"), 7 where matches(name, "trailer"),
            10 where matches(name, "connection"), 10 where matches(name, "keep-alive"),
            14 where matches(name, "content-length"), 17 where matches(name, "transfer-encoding"):
            true
        default: matches(name, "proxy-")
        }
    }

    private static func byteCount(ofChecked header: HTTPHeader) throws(Refusal) -> Int {
        let name = header.name.utf8
        guard !name.isEmpty, name.allBytes(isTokenByte) else {
            throw Refusal(reason: "a header's name is not a token such as X-Name")
        }
        // A value may be a secret, so the reason contains only the header's name.
        guard header.value.utf8.allBytes({ $0 >= 0x20 && $0 != 0x7F }) else {
            throw Refusal(reason: "the header \(header.name) contains a control character")
        }
        if isRefused(name) {
            throw Refusal(reason: "the header \(header.name) is set by the transport alone")
        }
        return name.count + header.value.utf8.count
    }

    /// Whether `bytes` begin with `lowercase`, ignoring case.
    private static func matches(_ bytes: String.UTF8View, _ lowercase: StaticString) -> Bool {
        bytes.withBytes { $0.begins(withLowercase: lowercase) }
    }

    /// Whether a byte may be part of an RFC 9110 token.
    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E...0x60,
            0x7C, 0x7E:
            true
        default: false
        }
    }
}

extension String.UTF8View {
    /// Like `allSatisfy`, but over contiguous bytes: the view's own iterator costs 70 instructions per byte.
    fileprivate func allBytes(_ holds: (UInt8) -> Bool) -> Bool { withBytes { $0.allSatisfy(holds) } }

    /// Calls `body` with the bytes in place; unlike `String.withUTF8`, it needs no mutable string.
    func withBytes<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        withContiguousStorageIfAvailable(body) ?? Array(self).withUnsafeBufferPointer(body)
    }
}
