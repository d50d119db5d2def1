import OpenSSLCrypto
import Ports
import Testing
import Values

@testable import LuaExpressions

/// The guards that the workflows of the payment providers use, on the providers' own vectors.
@Suite("Webhook signatures as guards")
struct SignatureTests {
    static let stripe = """
        local seconds, matched = nil, false
        local header = trigger.headers['stripe-signature'] or ''
        for part in header:gmatch('[^,]+') do
            local key, value = part:match('^(%w+)=(.*)$')
            if key == 't' then
                if seconds then return false end
                seconds = value
            end
        end
        if not seconds or not seconds:match('^%d+$') then return false end
        if math.abs(time.now() - tonumber(seconds)) > 300 then return false end
        local wanted = crypto.hmac('sha256', secrets.STRIPE, seconds .. '.' .. trigger.raw_body)
        for part in header:gmatch('[^,]+') do
            local value = part:match('^v1=(%x+)$')
            if value and crypto.equals(value, wanted) then matched = true end
        end
        return matched
        """

    private func stripe(_ header: String, body: String = "{}", now: Int64 = 1000) throws -> Value {
        let scope = MapScope(
            ["trigger": ["headers": ["stripe-signature": .string(header)], "raw_body": .string(body)]],
            secrets: ["STRIPE": "whsec_test"], now: Instant(milliseconds: now * 1000))
        return try Bench.evaluate(Self.stripe, scope)
    }

    private func signature(_ time: String, _ body: String, secret: String = "whsec_test") -> String {
        let mac = OpenSSLCryptography().hmac(
            "sha256", key: Array(secret.utf8), data: Array("\(time).\(body)".utf8))
        return Hex.encode(mac ?? [])
    }

    @Test("a Stripe signature passes, also beside others, and only then")
    func stripeSignatures() throws {
        let good = signature("1000", "{}")
        for header in [
            "t=1000,v1=\(good)", "t=1000,v1=\(good),v1=potato", "t=1000,v1=bad_signature,v1=\(good)",
        ] {
            #expect(try stripe(header) == true, "\(header)")
        }
        let bad = [
            "t=1000,v0=\(good)", "", "bad_header", "t=", "v1,t=1", "t=1000,v1=bad_signature",
            "t=1001,v1=\(good)",
            "t=+1000,v1=\(good)", "t=1000,t=1000,v1=\(good)", "t=1000,v1=\(good.dropLast())",
        ]
        for header in bad { #expect(try stripe(header) == false, "\(header)") }
        #expect(try stripe("t=1000,v1=\(good)", body: "{ }") == false)
        #expect(try stripe("t=1000,v1=\(good)", now: 1300) == true)
        #expect(try stripe("t=1000,v1=\(good)", now: 1301) == false)
        #expect(try stripe("t=1000,v1=\(good)", now: 699) == false)
    }

    static let standard = """
        local id, time = trigger.headers['webhook-id'], trigger.headers['webhook-timestamp']
        if not id or not time or not time:match('^%d+$') then return false end
        if math.abs(trigger.now - tonumber(time)) > 300 then return false end
        local key = base64.decode(secrets.HOOK:gsub('^whsec_', ''))
        local signed = id .. '.' .. time .. '.' .. trigger.raw_body
        local wanted = 'v1,' .. crypto.hmac_base64('sha256', key, signed)
        for given in (trigger.headers['webhook-signature'] or ''):gmatch('%S+') do
            if crypto.equals(given, wanted) then return true end
        end
        return false
        """

    private func standard(_ signature: String?, time: String = "1614265330") throws -> Value {
        var headers = Object([
            .init(name: "webhook-id", value: "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            .init(name: "webhook-timestamp", value: .string(time)),
        ])
        headers["webhook-signature"] = signature.map { .string($0) }
        let scope = MapScope(
            [
                "trigger": [
                    "headers": .object(headers), "raw_body": #"{"test": 2432232314}"#, "now": 1_614_265_330,
                ]
            ], secrets: ["HOOK": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
        return try Bench.evaluate(Self.standard, scope)
    }

    @Test("the Standard Webhooks vectors pass and their mutations do not")
    func standardWebhooks() throws {
        let good = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        let other = "Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
        #expect(try standard(good) == true)
        #expect(try standard("v1,\(other) v2,\(other) \(good) v1,AAAA") == true)
        for bad in ["v1,", "v1,g0hM9SsE", "v1,\(other)", "", nil] { #expect(try standard(bad) == false) }
        for time in ["hello", "1614265631", "1614265029", "1614265331", ""] {
            #expect(try standard(good, time: time) == false)
        }
    }

    static let stripeVectors: [(String, String)] = [
        ("", "f7f9bd47fb987337b5796fdc1fdb9ba221d0d5396814bfcaf9521f43fd8927fd"),
        (
            #"{"obj1":"hello","obj2":"world"}"#,
            "bebb1a643997f419b315ddba19e6f5411e1ce7f810ba6d3617ce72823092f363"
        ),
        ("\u{1F600}", "837da296d05c4fe31f61d5d7ead035099d9585a5bcde87de952012a78f0b0c43"),
    ]

    @Test("Stripe's HMAC vectors", arguments: stripeVectors)
    func stripeVector(text: String, expected: String) throws {
        let scope = MapScope(["text": .string(text)])
        #expect(try Bench.evaluate("crypto.hmac('sha256', 'test_secret', text)", scope) == .string(expected))
    }
}
