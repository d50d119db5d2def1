import CMicroHTTPShim
import Ports

enum ResponseWriter {
    /// Queues a response; false, with nothing sent, if its status or a header is invalid.
    static func queue(_ response: InboundResponse, on handle: OpaquePointer, closes: Bool) -> Bool {
        guard (200..<600).contains(response.status),
            let built = response.body.withUnsafeBytes({ millrace_http_response($0.baseAddress, $0.count) })
        else { return false }
        for header in response.headers where !add(header, to: built) {
            millrace_http_discard(built)
            return false
        }
        if closes { _ = add(HTTPHeader("Connection", "close"), to: built) }
        return millrace_http_queue(handle, UInt32(response.status), built)
    }

    private static func add(_ header: HTTPHeader, to response: OpaquePointer) -> Bool {
        millrace_http_add_header(
            response, header.name, header.name.utf8.count, header.value, header.value.utf8.count)
    }
}
