import Glibc

/// A TCP connection that sends exactly what it is told and reads with a deadline.
final class RawClient {
    private var socket: Int32
    private var pending: [UInt8] = []

    init(port: UInt16, host: String = "127.0.0.1") throws {
        if host.contains(":") {
            socket = Glibc.socket(AF_INET6, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            inet_pton(AF_INET6, host, &address.sin6_addr)
            try connect(to: address)
        } else {
            socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            inet_pton(AF_INET, host, &address.sin_addr)
            try connect(to: address)
        }
        var limit = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    private func connect<Address>(to address: Address) throws {
        var address = address
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(socket, $0, socklen_t(MemoryLayout<Address>.size))
            }
        }
        if status != 0 { throw ClientProblem.refused }
    }

    deinit { close() }

    func close() {
        if socket >= 0 { Glibc.close(socket) }
        socket = -1
    }

    /// False where the server has closed.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return false }
            sent += count
        }
        return true
    }

    @discardableResult
    func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    private func fill() -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = recv(socket, &buffer, buffer.count, 0)
        if count > 0 { pending.append(contentsOf: buffer[..<count]) }
        return count > 0
    }

    /// Everything until the server closes; nil where it does not within 5 s.
    func readToEnd() -> [UInt8]? {
        errno = 0
        while fill() {}
        defer { pending = [] }
        return errno == EAGAIN ? nil : pending
    }

    /// One response; interim ones are returned as such.
    ///
    /// `isHead` means that no body follows.
    func response(isHead: Bool = false) throws -> RawResponse {
        var end = headEnd()
        while end == nil {
            guard fill() else { throw ClientProblem.closed }
            end = headEnd()
        }
        guard let end else { throw ClientProblem.closed }
        var response = try RawResponse(head: String(decoding: pending[..<end], as: UTF8.self))
        pending.removeFirst(end + 4)
        let length = isHead ? 0 : Int(response.headers["content-length"] ?? "0") ?? 0
        while pending.count < length { guard fill() else { throw ClientProblem.closed } }
        response.body = Array(pending[..<length])
        pending.removeFirst(length)
        return response
    }

    private func headEnd() -> Int? {
        guard pending.count >= 4 else { return nil }
        return (0...(pending.count - 4)).first { pending[$0..<($0 + 4)].elementsEqual([13, 10, 13, 10]) }
    }
}

enum ClientProblem: Error { case refused, closed, notHTTP }

struct RawResponse {
    var status: Int
    var headers: [String: String] = [:]
    var body: [UInt8] = []

    init(head: String) throws {
        var lines = head.split(separator: "\r\n", omittingEmptySubsequences: false)
        let parts = lines.removeFirst().split(separator: " ")
        guard parts.count >= 2, let status = Int(parts[1]) else { throw ClientProblem.notHTTP }
        self.status = status
        for line in lines {
            guard let colon = line.firstIndex(of: ":") else { throw ClientProblem.notHTTP }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            headers[line[..<colon].lowercased()] = String(value)
        }
    }

    var text: String { String(decoding: body, as: UTF8.self) }
}
