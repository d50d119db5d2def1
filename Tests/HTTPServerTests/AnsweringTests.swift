import MicroHTTPServer
import Ports
import Testing
import Values

@Suite("HTTP listener: answers")
struct AnsweringTests {
    private static let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

    @Test("The first of two answers counts", arguments: [true, false])
    func doubleAnswer(isInline: Bool) throws {
        try withListener(handler: { _, respond in
            let answer: @Sendable () -> Void = {
                respond(InboundResponse(status: 200, body: Array("first".utf8)))
                respond(InboundResponse(status: 500, body: Array("second".utf8)))
            }
            if isInline { answer() } else { _ = WorkerThread(name: "later", body: answer) }
        }) { listener in
            let client = try RawClient(port: listener.port)
            for _ in 0..<5 {
                client.send(Self.get)
                try #expect(client.response().text == "first")
            }
        }
    }

    @Test(
        "A response with control bytes in a header or an odd status becomes 500 and is counted",
        arguments: [
            InboundResponse(status: 200, headers: [HTTPHeader("X-A", "b\r\nX-B: c")]),
            InboundResponse(status: 200, headers: [HTTPHeader("X-A\r\nX-B: c", "d")]),
            InboundResponse(status: 200, headers: [HTTPHeader("X-A", "b\u{0}c")]),
            InboundResponse(status: 200, headers: [HTTPHeader("", "b")]),
            InboundResponse(status: 99), InboundResponse(status: 100), InboundResponse(status: -1),
            InboundResponse(status: 600),
        ])
    func splitting(response: InboundResponse) throws {
        try withListener(handler: { _, respond in respond(response) }) { listener in
            let client = try RawClient(port: listener.port)
            client.send(Self.get)
            let answer = try client.response()
            #expect(answer.status == 500)
            #expect(answer.headers["x-b"] == nil)
            #expect(listener.refusedResponseCount == 1)
        }
    }

    @Test("A length that the handler states itself is replaced by the true one")
    func trueLength() throws {
        try withListener(handler: { _, respond in
            let wrong = [HTTPHeader("Content-Length", "99"), HTTPHeader("Transfer-Encoding", "chunked")]
            respond(InboundResponse(status: 201, headers: wrong, body: Array("abc".utf8)))
        }) { listener in
            let client = try RawClient(port: listener.port)
            client.send(Self.get)
            let answer = try client.response()
            #expect(answer.headers["content-length"] == "3")
            #expect(answer.headers["transfer-encoding"] == nil)
            #expect(answer.text == "abc")
        }
    }

    @Test("64 callers in parallel each get their own answers", arguments: [1, 2])
    func parallelCallers(threadCount: Int) throws {
        let right = Tally()
        try withListener(threadCount: threadCount, handler: echoLater) { listener in
            let port = listener.port
            let threads = (0..<64).map { caller in
                WorkerThread(name: "caller") {
                    guard let client = try? RawClient(port: port) else { return }
                    for number in 0..<10 {
                        let body = "caller \(caller) number \(number)"
                        client.send(
                            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
                        if let answer = try? client.response(), answer.text == body { right.increase() }
                    }
                }
            }
            for thread in threads { thread.join() }
        }
        #expect(right.count == 640)
    }

    @Test("A body of several megabytes goes both ways")
    func largeBody() throws {
        var limits = ListenerLimits()
        limits.bodyByteCountMax = 4 << 20
        try withListener(limits: limits, handler: echoLater) { listener in
            let client = try RawClient(port: listener.port)
            let body = (0..<(4 << 20)).map { UInt8(truncatingIfNeeded: $0 / 3) }
            client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.count)\r\n\r\n")
            client.send(body)
            try #expect(client.response().body == body)
        }
    }
}

/// A count that several threads raise.
final class Tally: @unchecked Sendable {
    // Unchecked: `value` is read and written under `lock`.
    private let lock = Lock()
    private var value = 0

    var count: Int { lock.withLock { value } }
    func increase() { lock.withLock { value += 1 } }
}
