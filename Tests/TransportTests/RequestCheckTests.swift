import CurlTransport
import Ports
import Testing
import Values

@Suite("CurlTransport: what may not be sent")
struct RequestCheckTests {
    /// Goal: no byte of a template's value can end a line or change the framing.
    @Test(
        "a control character anywhere is refused before anything leaves",
        arguments: ["\r", "\n", "\r\n", "\u{0}", "\t", "\u{7F}", "\u{1B}", "\u{8}"])
    func injections(bad: String) {
        withServer(.answering()) { server in
            withTransport { transport in
                let good = OutboundRequest.get(server.url("/x"))
                var requests: [OutboundRequest] = []
                for text in ["\(bad)x", "x\(bad)y", "x\(bad)"] {
                    requests += [good, good, good, good, good]
                    let first = requests.count - 5
                    requests[first].method = text
                    requests[first + 1].url = server.url("/" + text)
                    requests[first + 2].url = "http://127.0.0.1\(text):\(server.port)/"
                    requests[first + 3].headers = [HTTPHeader(text, "v")]
                    requests[first + 4].headers = [HTTPHeader("X-A", text)]
                }
                for request in requests {
                    #expect(transport.failure(request)?.label == "invalid_request")
                }
                #expect(server.connectionCount == 0)
            }
        }
    }

    @Test(
        "headers that frame the message are the transport's alone",
        arguments: [
            "Host", "content-length", "Transfer-Encoding", "CONNECTION", "Upgrade", "Expect", "TE", "Trailer",
            "Keep-Alive", "Proxy-Authorization", "proxy-connection", "", "A B", "A:", "Ä", "A;", "(x)",
        ])
    func headerNames(name: String) {
        withTransport { transport in
            var request = OutboundRequest.get("http://127.0.0.1:9/")
            request.headers = [HTTPHeader(name, "1")]
            guard case .invalidRequest(let reason)? = transport.failure(request) else {
                Issue.record("sent")
                return
            }
            #expect(reason.contains("header"))
        }
    }

    @Test(
        "only absolute http and https URLs without user names are sent",
        arguments: [
            "file:///etc/passwd", "gopher://127.0.0.1/", "ftp://127.0.0.1/", "dict://127.0.0.1/",
            "ldap://127.0.0.1",
            "http:/127.0.0.1/", "http:127.0.0.1", "127.0.0.1", "", "http://", "http:///x", "https://?x",
            "javascript:x",
            "http://user@127.0.0.1/", "http://user:pw@127.0.0.1/", "http://1.1.1.1@127.0.0.1/",
            "http://127.0.0.1 /",
            "http://127.0.0.1\\@x/", "http://①②⑦.⓪.⓪.①/", "http://127。0。0。1/", "http://127.0.0.1:99999/",
            "http://127.0.0.1:x/", "http://[::1/", "http://a b/", "http://127.0.0.1%00/",
        ])
    func urls(url: String) {
        withTransport { transport in
            #expect(transport.failure(.get(url))?.label == "invalid_request")
        }
    }

    @Test(
        "methods and bodies that no server expects are refused",
        arguments: ["", "GET ", "CONNECT", "G/T", "É"])
    func methods(method: String) {
        withTransport { transport in
            var request = OutboundRequest.get("http://127.0.0.1:9/")
            request.method = method
            #expect(transport.failure(request)?.label == "invalid_request")
            request.method = "HEAD"
            request.body = [1]
            #expect(transport.failure(request) == .invalidRequest(reason: "a HEAD request has no body"))
        }
    }

    @Test(
        "a policy's range that does not parse is named",
        arguments: ["10.0.0.0/33", "10.1.0.0/8", "x", "::1/129", ""])
    func ranges(range: String) {
        withTransport { transport in
            var request = OutboundRequest.get("http://127.0.0.1:9/")
            request.egress.denied = [.init(range: range, port: nil)]
            guard case .invalidRequest(let reason)? = transport.failure(request) else {
                Issue.record("sent")
                return
            }
            #expect(reason.contains("address rule \(range)"))
        }
    }
}
