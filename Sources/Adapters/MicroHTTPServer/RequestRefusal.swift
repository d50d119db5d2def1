import CMicroHTTPShim
import Ports

/// Why a request does not reach the handler; its connection is closed after the response.
enum RequestRefusal: Error {
    case badFraming
    case badHeader
    case badHost
    case repeatedHeader
    case badTarget
    case bodyTooLarge
    case headersTooLarge
    case targetTooLong

    func response(_ limits: ListenerLimits) -> InboundResponse {
        switch self {
        case .badFraming:
            .error(400, "bad_framing", "The request's lines or lengths can be read in two ways.")
        case .badHeader:
            .error(400, "bad_header", "A header field is not UTF-8; send such a value encoded.")
        case .repeatedHeader:
            .error(400, "bad_header", "Send one Content-Type header and one Content-Encoding header at most.")
        case .badHost: .error(400, "bad_host", "Send exactly one Host header.")
        case .badTarget:
            .error(
                400, "bad_target",
                "The request target is neither a path nor an http URL, or its decoded text is not valid UTF-8."
            )
        case .bodyTooLarge:
            .error(
                413, "body_too_large",
                "A body has at most \(limits.bodyByteCountMax) bytes (the setting body-bytes-max).")
        case .headersTooLarge:
            .error(
                431, "headers_too_large",
                "A request has at most \(limits.headerCountMax) header fields and, with its first line, "
                    + "\(limits.headerByteCountMax) bytes of them.")
        case .targetTooLong:
            .error(
                414, "target_too_long",
                "A request target has at most \(limits.headerByteCountMax / 2) bytes.")
        }
    }

    /// Writes the response to the socket in the middle of a body, where the library accepts none.
    func sendPastLibrary(to socket: Int32, _ limits: ListenerLimits) {
        let response = response(limits)
        var bytes = Array(
            """
            HTTP/1.1 \(response.status) Refused\r
            Content-Type: application/json\r
            Content-Length: \(response.body.count)\r
            Connection: close\r
            \r

            """.utf8)
        bytes.append(contentsOf: response.body)
        millrace_http_send_last(socket, bytes, bytes.count)
    }
}

extension InboundResponse {
    /// A JSON error response; code and message are our own texts and need no escaping.
    static func error(_ status: Int, _ code: StaticString, _ message: String) -> InboundResponse {
        InboundResponse(
            status: status, headers: [HTTPHeader("Content-Type", "application/json")],
            body: Array(#"{"error":{"code":"\#(code)","message":"\#(message)","details":null}}"#.utf8))
    }

    static var serverStopping: InboundResponse {
        .error(503, "stopping", "The server is shutting down; try again.")
    }

    static var refusedResponse: InboundResponse {
        .error(500, "internal", "The server failed to make a valid response.")
    }
}
