import CMicroHTTPShim
import Ports

/// Why a request does not reach the handler; its connection is closed after the answer.
enum RequestRefusal: Error {
    case badFraming
    case badHost
    case badTarget
    case bodyTooLarge
    case headersTooLarge
    case targetTooLong

    var response: InboundResponse {
        switch self {
        case .badFraming:
            .error(400, "bad_framing", "The request's lines or lengths can be read in two ways.")
        case .badHost: .error(400, "bad_host", "Send exactly one Host header.")
        case .badTarget:
            .error(
                400, "bad_target",
                "The request target is no path and no http URL, or what it encodes is not valid UTF-8.")
        case .bodyTooLarge: .error(413, "body_too_large", "The body is larger than this listener takes.")
        case .headersTooLarge:
            .error(431, "headers_too_large", "The headers are more or larger than this listener takes.")
        case .targetTooLong: .error(414, "target_too_long", "The request target is too long.")
        }
    }

    /// For the middle of a body, where the library takes no answer.
    func sendPastLibrary(to socket: Int32) {
        let response = response
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
    /// Both texts are our own and need no escaping.
    static func error(_ status: Int, _ code: StaticString, _ message: StaticString) -> InboundResponse {
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
