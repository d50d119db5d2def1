import CCurlShim
import Ports
import Values

extension TransferLoop {
    typealias Exchange = UnsafeMutablePointer<millrace_exchange>

    /// Fills an exchange with the request; false if memory is short or libcurl refuses an option.
    func fill(_ exchange: Exchange, with transfer: Transfer, check: RequestCheck) -> Bool {
        let request = transfer.request
        // Added as a plain header: with CURLOPT_USERAGENT, libcurl formats it twice per request.
        guard check.setsUserAgent || Self.add("User-Agent", value: options.userAgent, to: exchange) else {
            return false
        }
        guard
            check.setsAcceptEncoding
                || Self.add("Accept-Encoding", value: ContentDecoding.accepted, to: exchange)
        else { return false }
        let headers = request.headers
        for index in headers.indices {
            guard Self.add(headers[index].name, value: headers[index].value, to: exchange) else {
                return false
            }
        }
        let sendsBody = !request.body.isEmpty || ["POST", "PUT", "PATCH"].contains(request.method)
        // By default libcurl waits for "100 Continue" before a large body (above 1 MiB in the version used),
        // and adds its own Accept and form Content-Type. Each header that it is given costs it a dozen
        // comparisons.
        guard request.body.count < 64 << 10 || Self.remove("Expect", from: exchange),
            check.setsAccept || Self.remove("Accept", from: exchange),
            check.setsContentType || !sendsBody || Self.remove("Content-Type", from: exchange),
            request.body.withUnsafeBytes({
                millrace_exchange_set_body(exchange, $0.baseAddress, $0.count)
            }),
            let rules = transfer.rules?.pointer
        else { return false }

        let timeoutMS = max(1, min(request.timeout.milliseconds, Int64(Int32.max)))
        return request.url.withCString { url in
            request.method.withCString { method in
                var line = millrace_request_line(
                    url: url, method: method, timeout_ms: Int(timeoutMS),
                    silence_max_s: timeoutMS > Int64(silenceMaxS) * 1000 ? silenceMaxS : 0,
                    sends_body: sendsBody, is_head: request.method == "HEAD",
                    is_on_own_connection: !request.mayReuseConnection)
                return millrace_exchange_prepare(exchange, &line, rules, max(0, request.bodyByteCountMax))
                    == 0
            }
        }
    }

    private static func add(_ name: String, value: String, to exchange: Exchange) -> Bool {
        name.utf8.withBytes { name in
            guard let start = name.baseAddress else { return false }
            return value.utf8.withBytes { value in
                // libcurl takes a value of blanks alone as a request to remove the header.
                let count = value.allSatisfy { $0 == 0x20 } ? 0 : value.count
                return millrace_exchange_add_header(
                    exchange, start, name.count, value.baseAddress, count, false)
            }
        }
    }

    private static func remove(_ name: StaticString, from exchange: Exchange) -> Bool {
        millrace_exchange_add_header(exchange, name.utf8Start, name.utf8CodeUnitCount, nil, 0, true)
    }
}
