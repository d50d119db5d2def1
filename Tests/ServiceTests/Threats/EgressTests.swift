import Assembly
import Ports
import Runtime
import StandIns
import Testing
import Values

/// What a tenant's step may reach, and what its data may do to a request.
@Suite("Egress")
struct EgressTests {
    private static func anyAddress(_ name: String = "fetch") -> String {
        """
        name: \(name)
        version: 1
        triggers: [{type: http}]
        steps:
          get:
            request:
              method: POST
              url: << trigger.body.url >>
              body: {item: x}
            response: {timeout: 2s}
            retry: {max: 0}
        """
    }

    /// Addresses of this machine, its networks and cloud services, as attackers spell them.
    private static func spellings(_ port: Substring) -> [String] {
        let hosts = [
            "127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "127.255.255.254", "2130706433", "0x7f000001",
            "0x7f.1",
            "0x7f.0x0.0x0.0x1", "0177.0.0.1", "017700000001", "0", "0.0.0.0", "0.1.2.3", "localhost",
            "LOCALHOST", "localhost.",
            "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]",
            "[64:ff9b::7f00:1]", "[64:ff9b::127.0.0.1]", "[2002:7f00:1::]", "[fe80::1]", "[fc00::1]",
            "[fd00:ec2::254]",
            "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.254", "192.168.0.1", "100.64.0.1",
            "169.254.169.254",
            "0xa9fea9fe", "2852039166", "192.0.0.192", "192.0.2.1", "198.18.0.1", "198.51.100.1",
            "203.0.113.1", "224.0.0.1",
            "240.0.0.1", "255.255.255.255", "[ff02::1]", "[2001:db8::1]", "[fec0::1]", "[2001::1]",
        ]
        return hosts.map { "http://\($0):\(port)/effects" } + [
            "http://127.0.0.1:\(port)@example.com/", "http://example.com@127.0.0.1:\(port)/effects",
            "http://user:pass@127.0.0.1:\(port)/effects", "http://127.0.0.1:\(port)#@example.com/",
            "http://127.0.0.1%00.example.com:\(port)/", "http://127.0.0.1\\.example.com:\(port)/",
            "http://127。0。0。1:\(port)/effects", "http://①②⑦.⓪.⓪.①:\(port)/effects",
            "http://[::1%25lo]:\(port)/effects",
            "http://%31%32%37.0.0.1:\(port)/effects", "http:\\\\127.0.0.1:\(port)/effects",
            "http:///127.0.0.1:\(port)/effects",
            "HTTP://127.0.0.1:\(port)/effects", "//127.0.0.1:\(port)/effects", "127.0.0.1:\(port)/effects",
            "file:///etc/passwd", "gopher://127.0.0.1:\(port)/_x", "dict://127.0.0.1:\(port)/",
            "ftp://127.0.0.1/",
            "ldap://127.0.0.1/", "unix:///tmp/x", "http://", "http:// ", "", "javascript:1",
            "http://127.0.0.1:\(port)/\r\nX: y",
            "https://127.0.0.1:\(port)/effects", "http://127.0.0.1:0/", "http://127.0.0.1:99999/",
            "http://127.0.0.1:-1/",
        ]
    }

    @Test("O1, O4, O8: no spelling of this machine, its networks or another scheme reaches anything")
    func loopbackIsUnreachable() throws {
        try withService { settings in
            settings.runtime.tenantEgress = EgressPolicy.publicOnly
        } _: { service in
            let acme = try service.tenant()
            acme.deploy(Self.anyAddress())
            let port = service.suite.ordersURL.split(separator: ":").last ?? ""
            let urls = Self.spellings(port)
            let runs = urls.map { acme.trigger("fetch", ["url": .string($0)])["run_id"]?.text ?? "" }
            for (url, run) in zip(urls, runs) {
                let ended = acme.finished(run)
                #expect(ended["status"] == "failed", "\(url)")
                let code = ended["error"]?["code"]?.text ?? ""
                #expect(
                    ["destination_refused", "invalid_request", "connection"].contains(code),
                    "\(url): \(ended["error"] ?? .null)")
                let told = ended["error"]?["message"]?.text ?? ""
                #expect(
                    code != "destination_refused" || !told.contains("127.0.0.1"), "the address is not told")
            }
            #expect(service.suite.orders.desk.requestCount == 0)
        }
    }

    @Test(
        "S13: where loopback is allowed, Millrace's own addresses still are not; the operator's steps get there"
    )
    func ownAddressesAreRefused() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.setSecret("STOLEN_KEY", service.internalKey)
            let source = """
                name: greedy
                version: 1
                triggers: [{type: http}]
                steps:
                  credit:
                    request:
                      method: POST
                      url: << trigger.body.url >>
                      headers: {Authorization: Bearer << secrets.STOLEN_KEY >>}
                      body: {tenant_id: \(acme.tenant), minutes: 60, reference: << trigger.body.reference >>}
                    retry: {max: 0}
                """
            acme.deploy(source)
            let path = "/api/internal/billing/credit"
            let ports = [service.internalURL, service.url].map { $0.split(separator: ":").last ?? "" }
            for port in ports {
                for host in [
                    "127.0.0.1", "localhost", "127.1", "[::ffff:127.0.0.1]", "0x7f000001", "127.0.0.1.",
                ] {
                    let run = try acme.run(
                        "greedy", ["url": .string("http://\(host):\(port)\(path)"), "reference": "free"])
                    #expect(run["status"] == "failed", "\(host)")
                }
            }
            #expect(acme.credits.count == 1, "the gift of the fixture and nothing more")
            // The very same step of the operator is what billing is made of.
            service.owner.setSecret("STOLEN_KEY", service.internalKey)
            service.owner.deploy(source)
            let run = try service.owner.run(
                "greedy", ["url": .string(service.internalURL + path), "reference": "earned"])
            #expect(run["status"] == "succeeded", "\(run)")
            #expect(acme.credits.count == 2)
        }
    }

    @Test("O9: a secret that is bound to hosts is not sent anywhere else, whatever the payload says")
    func secretsAreBoundToHosts() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.setSecret("BOUND", "canary-bound-secret", hosts: ["api.stripe.com"])
            acme.setSecret("LOCAL", "canary-local-secret", hosts: ["127.0.0.1"])
            for name in ["BOUND", "LOCAL"] {
                acme.deploy(
                    """
                    name: send-\(name.lowercased())
                    version: 1
                    triggers: [{type: http}]
                    steps:
                      send:
                        request:
                          method: POST
                          url: << trigger.body.base >>/effects
                          headers: {Authorization: Bearer << secrets.\(name) >>}
                          body: {item: "<< secrets.\(name) >>"}
                        retry: {max: 0}
                    """)
            }
            let port = service.suite.ordersURL.split(separator: ":").last ?? ""
            for base in [
                service.suite.ordersURL, "http://api.stripe.com.127.0.0.1:\(port)",
                "http://localhost:\(port)",
                "http://api.stripe.com@127.0.0.1:\(port)",
            ] {
                let run = try acme.run("send-bound", ["base": .string(base)])
                #expect(run["status"] == "failed", "\(base)")
                #expect(
                    ["secret_not_for_host", "invalid_request"].contains(run["error"]?["code"]?.text),
                    "\(run["error"] ?? .null)")
            }
            #expect(service.suite.orders.desk.requestCount == 0)
            #expect(
                try acme.run("send-local", ["base": .string(service.suite.ordersURL)])["status"]
                    == "succeeded")
            #expect(
                try acme.run("send-local", ["base": .string("http://localhost:\(port)")])["status"]
                    == "failed")
            #expect(service.suite.orders.desk.log.map(\.body).filter { $0.contains("canary-bound") }.isEmpty)
        }
    }

    @Test("O9, I9: neither a step between nor a computed name takes a bound secret to another host")
    func boundSecretsAreNotLaundered() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.setSecret("BOUND", "canary-bound-secret", hosts: ["api.stripe.com"])
            let request = "method: POST, url: \"\(service.suite.ordersURL)/effects\""
            let head = "version: 1\ntriggers: [{type: http}]\nsteps:\n"
            acme.deploy(
                "name: between\n" + head + "  take: {lua: 'return {a = secrets.BOUND}'}\n"
                    + "  send: {after: [take], request: {\(request), body: {item: << steps.take.output.a >>}}}\n"
            )
            #expect(try acme.run("between")["status"] == "succeeded")
            #expect(service.suite.orders.desk.log.map(\.body) == [#"{"item":"[secret]"}"#])
            for (index, expression) in ["secrets[trigger.body.n]", "secrets['BO' .. 'UND']"].enumerated() {
                let name = "computed-\(index)"
                acme.deploy(
                    "name: \(name)\n" + head
                        + "  send: {request: {\(request), body: {item: \"<< \(expression) >>\"}}}\n")
                #expect(try acme.run(name, ["n": "BOUND"])["error"]?["code"] == "secret_not_for_host")
            }
            #expect(service.suite.orders.desk.requestCount == 1)
        }
    }
}
