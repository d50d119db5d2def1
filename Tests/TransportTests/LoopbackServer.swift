import Glibc
import Values

/// A listener on loopback that hands each connection to a script on a thread of its own.
final class LoopbackServer: @unchecked Sendable {
    // Unchecked: counts and lists are touched under `lock`.
    let port: UInt16
    private let listener: Int32
    private let lock = Lock()
    private var acceptCount = 0
    private var open: Set<Int32> = []
    private var threads: [WorkerThread] = []
    private var seen: [[UInt8]] = []
    private var isStopped = false

    /// - Parameter script: Talks to one connection; it is closed when the script returns.
    init(_ script: @escaping @Sendable (Peer) -> Void) {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) | listen(listener, 512) | getsockname(listener, $0, &length)
            }
        }
        precondition(status == 0, "no listener on loopback")
        self.listener = listener
        port = UInt16(bigEndian: address.sin_port)
        threads.append(WorkerThread(name: "accept") { self.accept(script) })
    }

    var connectionCount: Int { lock.withLock { acceptCount } }
    /// What the peers' scripts have noted, in order.
    var requests: [String] { lock.withLock { seen.map { String(decoding: $0, as: UTF8.self) } } }

    func url(_ path: String = "/") -> String { "http://127.0.0.1:\(port)\(path)" }

    func stop() {
        lock.withLock {
            isStopped = true
            shutdown(listener, Int32(SHUT_RDWR))
            for socket in open { shutdown(socket, Int32(SHUT_RDWR)) }
        }
        while let thread = lock.withLock({ threads.popLast() }) { thread.join() }
        close(listener)
    }

    fileprivate func note(_ request: [UInt8]) { lock.withLock { seen.append(request) } }

    private func accept(_ script: @escaping @Sendable (Peer) -> Void) {
        while true {
            let socket = Glibc.accept(listener, nil, nil)
            if socket < 0 { return }
            let isRefused = lock.withLock {
                acceptCount += 1
                open.insert(socket)
                if !isStopped { threads.append(WorkerThread(name: "peer") { self.serve(socket, script) }) }
                return isStopped
            }
            if isRefused { close(socket) }
        }
    }

    private func serve(_ socket: Int32, _ script: @Sendable (Peer) -> Void) {
        script(Peer(socket: socket, server: self))
        lock.withLock { _ = open.remove(socket) }
        close(socket)
    }

    /// Answers every request on every connection with 200 and the same body.
    static func answering(_ body: String = "ok", headers: String = "") -> LoopbackServer {
        LoopbackServer { peer in
            while peer.request() != nil { peer.answer(body, headers: headers) }
        }
    }
}

/// One connection, seen from the server.
final class Peer {
    private let socket: Int32
    private let server: LoopbackServer
    private var pending: [UInt8] = []

    init(socket: Int32, server: LoopbackServer) {
        self.socket = socket
        self.server = server
    }

    /// The next request with its body (by Content-Length), or nil where the peer has gone.
    func request() -> String? {
        var end: Int?
        while true {
            end = pending.firstRange(of: [13, 10, 13, 10])?.upperBound
            if let end {
                let head = String(decoding: pending[..<end], as: UTF8.self).lowercased()
                let length = head.split(separator: "\r\n").first { $0.hasPrefix("content-length:") }
                    .flatMap { Int($0.dropFirst(15).filter(\.isNumber)) }
                let total = end + (length ?? 0)
                if pending.count >= total {
                    let request = Array(pending[..<total])
                    pending.removeFirst(total)
                    server.note(request)
                    return String(decoding: request, as: UTF8.self)
                }
            }
            guard receive() else { return nil }
        }
    }

    /// Reads more; false at the end.
    func receive() -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = recv(socket, &buffer, buffer.count, 0)
        if count <= 0 { return false }
        pending += buffer[..<count]
        return true
    }

    /// Sends raw bytes; false where the peer has gone.
    @discardableResult
    func send(_ text: String) -> Bool { send(bytes: Array(text.utf8)) }

    @discardableResult
    func send(bytes: [UInt8]) -> Bool {
        var bytes = bytes[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes {
                Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return false }
            bytes.removeFirst(count)
        }
        return true
    }

    @discardableResult
    func answer(_ body: String, status: String = "200 OK", headers: String = "") -> Bool {
        send("HTTP/1.1 \(status)\r\nContent-Length: \(body.utf8.count)\r\n\(headers)\r\n\(body)")
    }

    @discardableResult
    func answer(bytes: [UInt8], headers: String) -> Bool {
        send("HTTP/1.1 200 OK\r\nContent-Length: \(bytes.count)\r\n\(headers)\r\n") && send(bytes: bytes)
    }

    /// Waits until there is something to read, and leaves it unread; closed like this, the connection is reset.
    func waitForBytes() {
        var watched = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        poll(&watched, 1, 10_000)
    }

    /// Ends the connection from this side.
    func endSending() { shutdown(socket, Int32(SHUT_WR)) }

    /// Makes the coming close a reset.
    func resetOnClose() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(socket, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }
}
