import Glibc
import Ports
import Testing
import Values

@testable import CurlTransport

@Suite("CurlTransport: addresses")
struct EgressTests {
    private static let refused = [
        "0.0.0.0", "0.1.2.3", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1",
        "127.255.255.255", "168.63.129.16", "169.254.0.0", "169.254.169.254", "172.16.0.0", "172.31.255.255",
        "192.0.0.0", "192.0.0.255", "192.0.2.1", "192.88.99.1", "192.168.0.0", "192.168.255.255",
        "198.18.0.0",
        "198.19.255.255", "198.51.100.1", "203.0.113.255", "224.0.0.1", "239.255.255.255", "240.0.0.1",
        "255.255.255.255", "::", "::1", "::2", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "::ffff:169.254.169.254", "::ffff:0.0.0.0", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1",
        "100::1",
        "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "2001::1", "2001:0:4136:e378::1",
        "2001:1ff::1",
        "2001:db8::1", "2002:7f00:1::1", "2002::1", "3fff::1", "3fff:fff::1", "4000::1", "1fff::1",
        "not an address", "",
        "127.1", "1.2.3.4%lo",
    ]
    private static let permitted = [
        "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
        "128.0.0.0", "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0", "198.51.99.255", "203.0.112.255", "203.0.114.0", "223.255.255.255", "::ffff:8.8.8.8",
        "2000::1",
        "2001:200::1", "2001:db7::1", "2001:db9::1", "2003::1", "2606:4700::1111", "2a00:1450::1", "3ffe::1",
        "3fff:1000::1",
    ]

    @Test("only public unicast addresses are permitted", arguments: refused + permitted)
    func classification(address: String) throws {
        let rules = try EgressRules(.publicOnly)
        #expect(rules.permits(address, port: 443) == Self.permitted.contains(address))
    }

    @Test("denied comes before allowed, allowed before the public rule, with ports")
    func precedence() throws {
        let rules = try EgressRules(
            EgressPolicy(
                allowed: [.init(range: "127.0.0.0/8", port: nil), .init(range: "10.1.0.0/16", port: 80)],
                denied: [
                    .init(range: "127.0.0.0/8", port: 8080), .init(range: "1.1.1.1", port: nil),
                    .init(range: "::1", port: 8080), .init(range: "2a00::/16", port: nil),
                ]))
        let expected: [(String, UInt16, Bool)] = [
            ("127.0.0.1", 8081, true), ("127.0.0.1", 8080, false), ("127.9.9.9", 8080, false),
            ("::ffff:127.0.0.1", 8081, true), ("::ffff:127.0.0.1", 8080, false), ("0.0.0.0", 8081, true),
            ("0.0.0.0", 8080, false), ("::1", 8081, false), ("::", 8081, false), ("10.1.2.3", 80, true),
            ("10.1.2.3", 81, false), ("10.2.0.0", 80, false), ("1.1.1.1", 443, false), ("1.1.1.2", 443, true),
            ("2a00::1", 443, false), ("2b00::1", 443, true),
        ]
        for (address, port, isPermitted) in expected {
            #expect(rules.permits(address, port: port) == isPermitted, "\(address) \(port)")
        }
        let everySix = try EgressRules(EgressPolicy(allowed: [.init(range: "::/0", port: nil)]))
        #expect(everySix.permits("fd00::1", port: 80))
        #expect(!everySix.permits("127.0.0.1", port: 80))
        let mapped = try EgressRules(EgressPolicy(allowed: [.init(range: "::ffff:127.0.0.0/104", port: nil)]))
        #expect(mapped.permits("127.0.0.1", port: 80))
    }

    private static let loopbackSpellings = [
        "127.0.0.1", "localhost", "localhost.", "LOCALHOST", "127.1", "127.0.1", "0x7f.1", "0x7f000001",
        "2130706433",
        "0177.0.0.1", "017700000001", "0", "0.0.0.0", "127.0.0.1.", "127.255.255.254", "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::127.0.0.1]", "%31%32%37.0.0.1", "user@127.0.0.1",
        "1.1.1.1@127.0.0.1", "①②⑦.⓪.⓪.①", "127。0。0。1", "[fe80::1%25lo]",
    ]

    /// Goal: whatever a URL calls it, a tenant without leave does not reach this machine, not even over a
    /// connection that the same pool opened under another policy.
    @Test("no spelling of loopback reaches a listener under the public rule", arguments: loopbackSpellings)
    func canary(host: String) {
        withServer(.answering()) { server in
            withTransport { transport in
                var request = OutboundRequest.get("http://\(host):\(server.port)/", timeout: .seconds(3))
                request.egress = .publicOnly
                let failure = transport.failure(request)
                #expect(["destination_refused", "invalid_request", "connection"].contains(failure?.label))
                #expect(server.connectionCount == 0)

                #expect(transport.response(.get(server.url()))?.status == 200)
                #expect(transport.outcome(request).map { (try? $0.result.get()) == nil } == true)
                #expect(server.requests.count == 1)
                #expect(server.connectionCount == 1)
            }
        }
    }

    @Test("a kept connection is refused to a request of the same pool that may not go there")
    func pooledConnection() {
        withServer(.answering()) { server in
            withTransport { transport in
                #expect(transport.response(.get(server.url()))?.status == 200)
                var request = OutboundRequest.get(server.url())
                request.egress = .publicOnly
                #expect(transport.failure(request) == .destinationRefused)
                request.egress = .loopback()
                request.egress.denied = [.init(range: "127.0.0.0/8", port: server.port)]
                #expect(transport.failure(request) == .destinationRefused)
                #expect(server.requests.count == 1)
            }
        }
    }

    @Test("the environment's proxies are not asked")
    func proxies() {
        withServer(.answering("proxy")) { proxy in
            withServer(.answering("direct")) { server in
                for name in ["http_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
                    setenv(name, "http://127.0.0.1:\(proxy.port)", 1)
                }
                withTransport { transport in
                    #expect(transport.response(.get(server.url()))?.body == Array("direct".utf8))
                    #expect(proxy.connectionCount == 0)
                }
            }
        }
    }
}
