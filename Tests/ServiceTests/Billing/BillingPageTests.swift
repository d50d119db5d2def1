import Assembly
import OpenSSLCrypto
import Ports
import StandIns
import Testing
import Values

@testable import Server

/// Where a buyer lands who named no page of their own.
@Suite("The page after a checkout")
struct BillingPageTests {
    /// The path of an address on this server.
    private func path(_ url: String?, _ service: TestService) throws -> String {
        let url = try #require(url)
        #expect(url.hasPrefix(service.url))
        return String(url.dropFirst(service.url.count))
    }

    private func expectSafe(_ page: Reply, _ location: SourceLocation = #_sourceLocation) {
        let policy = page.headers["content-security-policy"] ?? ""
        #expect(policy.hasPrefix("default-src 'none'; style-src 'sha256-"), sourceLocation: location)
        #expect(!policy.contains("unsafe") && !page.text.contains("<script"), sourceLocation: location)
        #expect(page.headers["content-type"] == "text/html; charset=utf-8", sourceLocation: location)
        #expect(page.headers["cache-control"] == "no-store", sourceLocation: location)
        #expect(page.headers["x-content-type-options"] == "nosniff", sourceLocation: location)
        #expect(page.headers["referrer-policy"] == "no-referrer", sourceLocation: location)
    }

    @Test("after a checkout at Stripe it says what happened: not yet, given up, and paid")
    func stripeBuyerIsTold() throws {
        try withService { service in
            try service.useStripe()
            let acme = try service.tenant(milliseconds: 0)
            let (bought, session) = try service.buy(50, for: acme)
            let sent = try #require(service.suite.stripe.desk.log.last { $0.path == "/v1/checkout/sessions" })
            let form = Object(
                fields: try #require(FormEncoding.pairs(Array(sent.body.utf8))).map {
                    ($0.name, .string($0.value))
                })
            let success = try path(form["success_url"]?.string, service)
            let cancel = try path(form["cancel_url"]?.string, service)
            #expect(success == "/billing/\(bought["purchase_id"]?.text ?? "")")

            let waiting = service.call("GET", success)
            #expect(waiting.status == 200 && waiting.text.contains("not confirmed yet"), "\(waiting.text)")
            #expect(waiting.text.contains("50 minutes"))
            expectSafe(waiting)
            let left = service.call("GET", cancel)
            #expect(left.status == 200 && left.text.contains("Nothing was bought"), "\(left.text)")
            expectSafe(left)

            service.suite.stripe.pay(session)
            #expect(service.settleBilling())
            // A provider may add a query of its own.
            for address in [success, success + "?session_id=cs_1", cancel] {
                let paid = service.call("GET", address)
                #expect(paid.status == 200 && paid.text.contains("the payment has arrived"), "\(paid.text)")
                #expect(!paid.text.contains(acme.tenant) && !paid.text.contains("Acme"))
                expectSafe(paid)
            }
        }
    }

    @Test("after a checkout at Mollie, which has one address for every end, it says the same")
    func mollieBuyerIsTold() throws {
        try withService { service in
            try service.useMollie()
            let acme = try service.tenant(milliseconds: 0)
            let (_, checkout) = try service.buy(1, for: acme)
            let sent = try #require(service.suite.mollie.desk.log.last { $0.path == "/v2/payments" })
            let address = try path(try JSON.parse(sent.body)["redirectUrl"]?.string, service)
            #expect(service.call("GET", address).text.contains("1 minute of run time will be added"))
            service.suite.mollie.bring(checkout, to: "paid")
            #expect(service.settleBilling())
            #expect(service.call("GET", address).text.contains("1 minute of run time was added"))
        }
    }

    @Test("a payment that does not fit is said to be checked, and nothing of it is told")
    func parkedPurchaseIsTold() throws {
        try withService { service in
            try service.useStripe()
            let acme = try service.tenant(milliseconds: 0)
            let (bought, _) = try service.buy(50, for: acme)
            let purchase = bought["purchase_id"]?.text ?? ""
            let credited = service.callInternal(
                "billing/credit",
                [
                    "tenant_id": .string(acme.tenant), "minutes": 50, "reference": "stripe:x",
                    "purchase_id": .string(purchase), "paid": ["amount_minor": 1, "currency": "EUR"],
                ])
            #expect(credited.code == "purchase_mismatch")
            let page = service.call("GET", "/billing/\(purchase)")
            #expect(page.status == 200 && page.text.contains("is being checked"), "\(page.text)")
            expectSafe(page)
        }
    }

    @Test("an id that does not exist is 404 with a page, and nothing of it is echoed")
    func unknownPurchasesAreNotFound() throws {
        try withService { service in
            for id in ["pur_0000000000000", "x", "%3Cscript%3E", "pur_", "a%2Fb"] {
                let page = service.call("GET", "/billing/\(id)")
                #expect(page.status == 404 && page.text.contains("no such purchase"), "\(id): \(page.text)")
                expectSafe(page)
            }
            #expect(service.call("GET", "/billing").status == 200)
            expectSafe(service.call("GET", "/billing?paid=1"))
            #expect(service.call("HEAD", "/billing").status == 200)
            #expect(service.call("POST", "/billing").status == 405)
            #expect(service.call("GET", "/billing/a/b").code == "not_found")
        }
    }

    @Test("the policy admits the page's own style, and text is escaped")
    func styleIsAdmitted() {
        let hash = OpenSSLCryptography().sha256(Array(BillingPage.style.utf8))
        #expect(BillingPage.styleHash == Base64.encode(hash))
        #expect(BillingPage.escaped(#"<a href="x">'&"#) == "&lt;a href=&quot;x&quot;&gt;&#39;&amp;")
    }
}
