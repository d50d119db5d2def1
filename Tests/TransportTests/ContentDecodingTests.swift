import CurlTransport
import Ports
import Testing
import Values

@Suite("CurlTransport: compressed answers")
struct ContentDecodingTests {
    private static let text = #"{"status":"paid"}"#
    private static let gzip = "H4sIAAAAAAACA6tWKi5JLCktVrJSKkjMTFGqBQD2jiDFEQAAAA=="
    /// 200,000 zero bytes.
    private static let bomb =
        "H4sIAAAAAAACA+3BMQEAAADCoPVPbQZ/oAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACA1wB7WOBcQA0DAA=="

    /// What comes of an answer with these bytes and headers.
    private func answer(
        _ base64: String, headers: String, byteCountMax: Int = 1 << 20
    ) -> Result<OutboundResponse, TransportFailure>? {
        let bytes = Base64.decode(base64) ?? []
        let server = LoopbackServer { peer in
            while peer.request() != nil { peer.answer(bytes: bytes, headers: headers) }
        }
        var result: Result<OutboundResponse, TransportFailure>?
        withServer(server) { server in
            withTransport { transport in
                var request = OutboundRequest.get(server.url())
                request.bodyByteCountMax = byteCountMax
                result = transport.outcome(request)?.result
            }
        }
        return result
    }

    @Test("gzip and deflate are asked for, unless the request says something else")
    func asked() {
        withServer(.answering()) { server in
            withTransport { transport in
                var request = OutboundRequest.get(server.url())
                _ = transport.response(request)
                request.headers = [HTTPHeader("accept-encoding", "identity")]
                _ = transport.response(request)
                #expect(server.requests[0].contains("\r\nAccept-Encoding: gzip, deflate\r\n"))
                #expect(server.requests[1].contains("\r\naccept-encoding: identity\r\n"))
                #expect(!server.requests[1].contains("gzip"))
            }
        }
    }

    @Test(
        "a compressed body is decoded, and the headers that described it are gone",
        arguments: [
            ("Content-Encoding: gzip", gzip), ("content-encoding:  X-GZip ", gzip),
            (
                "Content-Encoding: gzip",
                "H4sIAAAAAAACA6tWKi5JLCktVrICALJdzt8KAAAAH4sIAAAAAAACA1MqSMxMUaoFACM0yOoHAAAA"
            ), ("Content-Encoding: deflate", "eJyrViouSSwpLVayUipIzExRqgUAN1kF/Q=="),
            ("Content-Encoding: deflate", "q1YqLkksKS1WslIqSMxMUaoFAA=="),
            (
                "Content-Encoding: gzip, gzip",
                "H4sIAAAAAAACA5Pv5mAAASbm1WFaep46mrphm4K0PM74BK5iZfjWp3BUECgJAA/EjeIlAAAA"
            ),
            (
                "Content-Encoding: gzip\r\nContent-Encoding: deflate",
                "eJyT7+ZgAAEm5tVhWnqeOpq6YZuCtDzO+ASuYmX41qdwVBAoCQCYKAk6"
            ),
            ("Content-Encoding: identity, gzip", gzip),
        ])
    func decoded(header: String, base64: String) {
        let response = try? answer(base64, headers: header + "\r\nX-Kept: 1\r\n")?.get()
        #expect(response?.body == Array(Self.text.utf8))
        #expect(response?.fault == nil)
        #expect(response?.headers == [HTTPHeader("X-Kept", "1")])
    }

    @Test(
        "a coding that is not known is said so, and its bytes are not handed on",
        arguments: [
            "br", "zstd", "compress", "none", "gzip, br", "gzip;q=1", "gzip, gzip, gzip, gzip", "\u{1F}",
        ])
    func unknown(coding: String) {
        let response = try? answer(Self.gzip, headers: "Content-Encoding: \(coding)\r\n")?.get()
        #expect(response?.status == 200)
        #expect(response?.body == [])
        #expect(response?.fault?.hasPrefix("its Content-Encoding ") == true)
    }

    @Test("data that is broken, cut off or followed by other data is said so")
    func broken() {
        let whole = Base64.decode(Self.gzip) ?? []
        var bodies: [[UInt8]] = (1..<whole.count).map { Array(whole[..<$0]) }
        bodies.append(Array("{\"status\":\"paid\"}".utf8))
        bodies.append(whole + [0x7B, 0x7D])
        for index in [0, 8, 20, 30, 35] {
            var changed = whole
            changed[index == 8 ? 2 : index] ^= 0x55
            bodies.append(changed)
        }
        for body in bodies {
            let response = try? answer(Base64.encode(body), headers: "Content-Encoding: gzip\r\n")?.get()
            #expect(response?.body == [], "\(body.count) bytes")
            #expect(response?.fault != nil, "\(body.count) bytes")
        }
    }

    @Test("the bound of a body holds for what is decoded, at each stage")
    func bombs() {
        let whole = try? answer(Self.bomb, headers: "Content-Encoding: gzip\r\n", byteCountMax: 200_000)?
            .get()
        #expect(whole?.body.count == 200_000)
        let tooLarge = answer(Self.bomb, headers: "Content-Encoding: gzip\r\n", byteCountMax: 199_999)
        #expect(
            throws: TransportFailure.responseTooLarge(
                limit: "its body has at most 199999 bytes (the setting answer-bytes-max)")
        ) {
            try tooLarge?.get()
        }
    }

    @Test("an empty body has nothing to decode")
    func empty() {
        for coding in ["gzip", "br", "deflate"] {
            let response = try? answer("", headers: "Content-Encoding: \(coding)\r\n")?.get()
            #expect(response?.body == [])
            #expect(response?.fault == nil)
        }
    }

    @Test("bytes of a compressed type that are sent as they are stay as they are")
    func files() {
        let response = try? answer(Self.gzip, headers: "Content-Type: application/gzip\r\n")?.get()
        #expect(response?.body == Base64.decode(Self.gzip))
    }
}
