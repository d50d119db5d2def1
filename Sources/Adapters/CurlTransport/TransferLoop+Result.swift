import CCurl
import CCurlShim
import Glibc
import Ports
import Values

extension TransferLoop {
    /// The outcome of a finished transfer.
    static func outcome(
        of result: millrace_result, exchange: millrace_exchange, timeout: Duration
    ) -> Result<OutboundResponse, TransportFailure> {
        if Int(exchange.stopped) != MILLRACE_STOPPED_NOT, result.code != 0,
            let failure = failure(of: exchange, code: result.code)
        {
            return .failure(failure)
        }
        guard result.code == 0 else {
            return .failure(failure(of: result, exchange: exchange, timeout: timeout))
        }
        // libcurl reports success if the peer closes in the middle of the headers.
        guard exchange.is_head_complete else {
            return .failure(.interrupted(reason: "the headers broke off"))
        }
        return response(of: exchange, status: result.status)
    }

    /// The response, with its body decoded as its `Content-Encoding` says.
    private static func response(
        of exchange: millrace_exchange, status: Int
    ) -> Result<OutboundResponse, TransportFailure> {
        let head = UnsafeBufferPointer(start: exchange.head.bytes, count: exchange.head.count)
        let body = UnsafeBufferPointer(start: exchange.body.bytes, count: exchange.body.count)
        var response = OutboundResponse(status: status, headers: ResponseHead.headers(head), body: [])
        // curl takes the last Content-Length, so its body may be a part of the true one.
        if !body.isEmpty, let name = ResponseHead.contradiction(in: response.headers) {
            response.body = Array(body)
            response.fault = "it has several \(name) headers"
            return .success(response)
        }
        switch ContentDecoding.decode(
            body, of: response.headers, byteCountMax: exchange.body_bytes_max)
        {
        case .bytes(let bytes, let isDecoded):
            response.body = bytes
            // These headers describe the encoded body.
            if isDecoded { response.headers.removeAll(where: ContentDecoding.describesCoding) }
        case .tooLarge: return .failure(.responseTooLarge(limit: bodyLimit(exchange)))
        case .unreadable(let reason): response.fault = reason
        }
        return .success(response)
    }

    /// The failure if one of our own callbacks stopped the transfer; otherwise nil.
    private static func failure(of exchange: millrace_exchange, code: Int32) -> TransportFailure? {
        switch Int(exchange.stopped) {
        case MILLRACE_STOPPED_TOO_LARGE: return .responseTooLarge(limit: limit(exchange))
        case MILLRACE_STOPPED_REPEATED: return .keptConnectionClosed
        case MILLRACE_STOPPED_NO_MEMORY: return .interrupted(reason: "no memory for the response")
        default: break
        }
        // A refused address is no failure while libcurl can try another.
        let refusals = [CURLE_COULDNT_CONNECT.rawValue, CURLE_ABORTED_BY_CALLBACK.rawValue]
        return refusals.contains(UInt32(code)) ? .destinationRefused : nil
    }

    /// The limit that a response exceeded.
    private static func limit(_ exchange: millrace_exchange) -> String {
        if exchange.head_bytes_seen > exchange.head_bytes_max {
            return "its header lines have at most \(exchange.head_bytes_max) bytes"
        }
        if exchange.head_lines_seen > exchange.head_lines_max {
            return "it has at most \(exchange.head_lines_max) header lines"
        }
        return bodyLimit(exchange)
    }

    private static func bodyLimit(_ exchange: millrace_exchange) -> String {
        "its body has at most \(exchange.body_bytes_max) bytes (the setting answer-bytes-max)"
    }

    /// Maps a libcurl error; a reason never contains an address, which would tell a tenant how internal names
    /// resolve.
    private static func failure(
        of result: millrace_result, exchange: millrace_exchange, timeout: Duration
    ) -> TransportFailure {
        let code = CURLcode(rawValue: UInt32(result.code))
        let reason = String(cString: curl_easy_strerror(code))
        switch code {
        case CURLE_OPERATION_TIMEDOUT:
            let isConnecting = !exchange.is_sent && result.total_us + 10_000 < timeout.microseconds
            return isConnecting ? .connection(reason: "nothing answered in time") : .timeout
        case CURLE_COULDNT_RESOLVE_HOST: return .connection(reason: "the name does not resolve")
        case CURLE_COULDNT_CONNECT: return .connection(reason: connectReason(result.os_error))
        case CURLE_UNSUPPORTED_PROTOCOL where exchange.is_sent:
            return .interrupted(reason: "the peer does not speak HTTP")
        case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL, CURLE_LOGIN_DENIED, CURLE_BAD_FUNCTION_ARGUMENT:
            return .invalidRequest(reason: reason)
        case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER,
            CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_INVALIDCERTSTATUS,
            CURLE_SSL_ENGINE_INITFAILED, CURLE_SSL_SHUTDOWN_FAILED, CURLE_USE_SSL_FAILED:
            return .tls(reason: reason)
        // libcurl returns this for a header line above its own limit of 100 KB.
        case CURLE_OUT_OF_MEMORY where exchange.is_sent:
            return .responseTooLarge(limit: "its header lines have at most \(exchange.head_bytes_max) bytes")
        default: return .interrupted(reason: reason)
        }
    }

    private static func connectReason(_ error: Int) -> String {
        switch Int32(truncatingIfNeeded: error) {
        case ECONNREFUSED: "nothing listens there"
        case ENETUNREACH, EHOSTUNREACH: "the network does not reach it"
        case EMFILE, ENFILE: "no file descriptor is left on this machine"
        default: "nothing answered"
        }
    }
}
