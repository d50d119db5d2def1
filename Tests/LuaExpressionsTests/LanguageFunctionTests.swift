import OpenSSLCrypto
import Ports
import Testing
import Values
import ZoneFiles

@testable import LuaExpressions

@Suite("Functions for other systems' formats")
struct LanguageFunctionTests {
    private static let compiler = LuaExpressionCompiler(
        cryptography: OpenSSLCryptography(), timeZones: ZoneFiles())

    private func value(_ source: String, _ scope: Value = [:]) throws -> Value {
        try Self.compiler.compile(source).evaluate(in: MapScope(scope))
    }

    private func raised(_ source: String, _ scope: Value = [:]) -> String {
        do {
            let value = try value(source, scope)
            return "no error: \(value)"
        } catch ExpressionFailure.raised(let message) {
            return message
        } catch { return "\(error)" }
    }

    private static let sha512OfABC =
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        + "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"

    static let table: [(String, Value)] = [
        ("crypto.sha512('abc')", .string(sha512OfABC)),
        ("url.decode('a%2Fb%20c+d')", "a/b c+d"), ("url.decode(url.encode('ä/&='))", "ä/&="),
        (#"csv.decode('a,b\n1,"x, ""y"""\r\n')"#, [["a", "b"], ["1", "x, \"y\""]]),
        (#"csv.decode('a;b\n1;2', ';', true)"#, [["a": "1", "b": "2"]]), ("csv.decode('')", []),
        (#"csv.decode('a,\n,b\n')"#, [["a", ""], ["", "b"]]), (#"csv.decode('"a\nb"')"#, [["a\nb"]]),
        (#"csv.decode('\u{FEFF}a\n')[1][1]"#, "a"), ("csv.decode('a,b', nil, true)", []),
        ("time.format(0)", "1970-01-01T00:00:00Z"),
        ("time.format(1782000000, nil, 'Europe/Berlin')", "2026-06-21T02:00:00+02:00"),
        (
            "time.format(1782000000, '%a, %d %b %Y %H:%M:%S %%', 'America/New_York')",
            "Sat, 20 Jun 2026 20:00:00 %"
        ),
        ("time.format(-1, '%Y %j %y')", "1969 365 69"),
        ("time.format(time.add(time.parse('2026-01-31T10:00:00Z'), 1, 'months'))", "2026-02-28T10:00:00Z"),
        ("time.format(time.add(time.parse('2024-02-29T10:00:00Z'), 1, 'years'))", "2025-02-28T10:00:00Z"),
        ("time.format(time.add(time.parse('2026-03-31T10:00:00Z'), -1, 'months'))", "2026-02-28T10:00:00Z"),
        ("time.format(time.add(time.parse('2026-12-31T10:00:00Z'), 2, 'months'))", "2027-02-28T10:00:00Z"),
    ]

    @Test("give what the formats say", arguments: table)
    func gives(source: String, expected: Value) throws { #expect(try value(source) == expected) }

    /// 02:30 is skipped on 29 March, and comes twice on 25 October.
    static let moves: [(from: String, count: Int, unit: String, to: String)] = [
        ("2026-03-28T09:00:00+01:00", 1, "days", "2026-03-29T09:00:00+02:00"),
        ("2026-03-28T09:00:00+01:00", 24, "hours", "2026-03-29T10:00:00+02:00"),
        ("2026-03-28T02:30:00+01:00", 1, "days", "2026-03-29T03:30:00+02:00"),
        ("2026-10-18T02:30:00+02:00", 1, "weeks", "2026-10-25T02:30:00+02:00"),
        ("2026-10-31T09:00:00+01:00", -1, "months", "2026-09-30T09:00:00+02:00"),
    ]

    @Test("days and longer keep the time that clocks show", arguments: moves)
    func movesInAZone(from: String, count: Int, unit: String, to: String) throws {
        let zone = "'Europe/Berlin'"
        let sum = "time.add(time.parse('\(from)'), \(count), '\(unit)', \(zone))"
        #expect(try value("time.format(\(sum), nil, \(zone))") == .string(to))
    }

    static let refused: [(String, String)] = [
        ("url.decode('%2')", "two hexadecimal digits"), (#"csv.decode('a"b')"#, "a quote within a field"),
        (#"csv.decode('x\n"a')"#, "not closed, in line 2"),
        (#"csv.decode('"a"b')"#, "after the closing quote"),
        (#"csv.decode('a,b\n1', ',', true)"#, "row 2 has 1 fields"),
        ("csv.decode('a', ',,')", "one character"),
        (#"csv.decode('a,a\n1,2', ',', true)"#, "two columns have one name"),
        ("time.format(1, '%Q')", "no %Q"), ("time.format(1, '%')", "ends with a %"),
        ("time.format(1, nil, 'Mars/Base')", "no time zone Mars/Base"),
        ("time.format('x')", "whole number"),
        ("time.format(1, nil, '../../etc/passwd')", "time zone"),
        ("time.format(1 << 62)", "years 1 to 9999"),
        ("time.add(1, 1, 'fortnights')", "the unit must be"),
        ("time.add(1, 9000, 'years')", "years 1 to 9999"),
        ("time.add(1, 1 << 62, 'days')", "at most 10 digits"),
        ("crypto.sign('HS256', 'k', 'd')", "must be one of"),
        ("crypto.sign('RS256', 'k', 'd')", "no private key in PEM for RS256"),
        ("crypto.verify('ES256', 'k', 'd', 's')", "no public key in PEM for ES256"),
    ]

    @Test("refuse what is none of the format", arguments: refused)
    func refuses(source: String, expected: String) {
        let message = raised(source)
        #expect(message.contains(expected), "\(message)")
    }

    /// Made for these tests.
    static let keys: [(algorithm: String, secret: String, open: String)] = [
        (
            "RS256",
            """
            -----BEGIN PRIVATE KEY-----
            MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQDPWk8IcWK67kfW
            2da7rqpA/Ca2XU3rMdDHHGjYU75qlLDISDVc0cigGt3bFy3oPx+DkZQ9rtOUlF0g
            VQyPoWGtHi/J+g2/srd1aLQOy4VwJAHyTXxg2F3oEC8F7/T99hHB8XHuLFf5JZrd
            fgFHgebZUKzTPxzHYV0i9CMwD0yGUChKso1q09ZVaVvkcRsVpJ9QHvEEXpWLomIK
            X3FfQ5lc1KCxygkBXAKFpTgugIz26ANccTvLgVWe2U2ZVCQD3zJ+gt/yYM9tJFxV
            r/sJPI/bkyjKxFsfuKlogjf05+VFYCOht1Xwqt9bXcVOs2IUjYZbRhZDSINVM35L
            D1nXrxQxAgMBAAECggEAEpMAaWfeyZKhaiRGvAvqwboqAu6wwCoiOEkvNdGqnlmG
            IdV2EkPTOPmvI0/G6PsJPlFCz5O4QvhXWezEcfP+5UcYTiYm0nlBPd83N0FmnqOw
            bkgf+tI8TJbGij2d20djp9U9DhzNdKANvgbqORbwhZ8DHEPsYV/eEUzVVMTKEhiK
            rNDArD0cJ0HyiNa9d2ZpH+lTAwHkzeGe+hJHuna+M5K7rCTu21juN91hN3TBgId6
            f8CfDvfMEHx22vLdaTT/a8f+2mPGTDLSeKnba//zqztlIz5iY7xfSSoDAMO47gd9
            abhZ09zbH/WZvm8ocnNhORxnziLrcyCaZcLLa/zM0QKBgQD6e+EuqfE9APhHJoCa
            wAsl29/MhJQLhtmDAwetrU8zVrxlhf96sW/rzFFa2lDSCE4kUAQwPXYy6NR3ZhiM
            hBNbhXXPPm/EVb2SkcptyCwIuafQTSZu398UOkglBrGunMV1ZnsHAvrV3DE18FAF
            otzDDaAZDLyDnwASajO3kUwBcwKBgQDT60Y6qX4N1Kt+cHBBY6ze/EAtjg3+BarV
            GYtut4t7JQsummjN6FJ3jdrS06oT5ERi8tLYhiC/n9f6zBJacmBsewY0tIZSjKAd
            vrUse5U5BmaXSRPDkt9wispvBd+B/hzxgdwLaoSmJ4WtBQrb/vvH0SczAAHIrZfw
            3Nov2JraywKBgD4sP4GApyNYOUgX03YV0u6Lu+ocwk52I0k0mFRQn0cD8XFVqEtA
            /aHOribZ55OqghLbVZ7PsqYCSrJ0QgWmxtNBtjNBsSZPjeVykIddVyi3RGMcszx0
            DwALU1r1ZWcM/KoeTM05vR8WL5TO2F39xcQYfrOZCLW24qKvf7TBuNbnAoGAEhXd
            G3qFiHai4BqGaf4wraMHcxvRc+FV7/PLI3rEi5DgwGxrD0+JYiyYBTANLr9nWq5w
            cgwYVWI103CBDHkAY6GoKO1THU5lB8TTv2UYmhJCxRx2dFVffkJJ/mmY5oYiQDYd
            6ld/1JJA5UAt6hJ7uFTQLJkOjerKscKXWEf7BzsCgYAJXp5WUiMSk8pJfAC3SOsF
            ESi/5RabHapydfIYv0aatlTJUzeXluphV+grDoq7R6FUHfa5j7L66Q1E86ZqGZ8g
            Rb8u1PooyhrE/CumdgAzqWgPKV+GuvAWbucnoquXnmJSdV3qc6OyWsDOM0ghY3+e
            6RbB7g1bS54UYYyi4EKWXg==
            -----END PRIVATE KEY-----
            """,
            """
            -----BEGIN PUBLIC KEY-----
            MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAz1pPCHFiuu5H1tnWu66q
            QPwmtl1N6zHQxxxo2FO+apSwyEg1XNHIoBrd2xct6D8fg5GUPa7TlJRdIFUMj6Fh
            rR4vyfoNv7K3dWi0DsuFcCQB8k18YNhd6BAvBe/0/fYRwfFx7ixX+SWa3X4BR4Hm
            2VCs0z8cx2FdIvQjMA9MhlAoSrKNatPWVWlb5HEbFaSfUB7xBF6Vi6JiCl9xX0OZ
            XNSgscoJAVwChaU4LoCM9ugDXHE7y4FVntlNmVQkA98yfoLf8mDPbSRcVa/7CTyP
            25MoysRbH7ipaII39OflRWAjobdV8KrfW13FTrNiFI2GW0YWQ0iDVTN+Sw9Z168U
            MQIDAQAB
            -----END PUBLIC KEY-----
            """
        ),
        (
            "ES256",
            """
            -----BEGIN PRIVATE KEY-----
            MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgElrrCY6adK2E/wki
            2q9ucDQaRC79SLcpBOeWInDCGEqhRANCAASxvjrmHd6VgLiDG1fzj5CZUOejxpyA
            /QvJyjNlFGJh3Hw0zQLiA9hY9HlaVhWSzxioLrHL+5B36u7tbrxHGnf+
            -----END PRIVATE KEY-----
            """,
            """
            -----BEGIN PUBLIC KEY-----
            MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEsb465h3elYC4gxtX84+QmVDno8ac
            gP0LycozZRRiYdx8NM0C4gPYWPR5WlYVks8YqC6xy/uQd+ru7W68Rxp3/g==
            -----END PUBLIC KEY-----
            """
        ),
        (
            "Ed25519",
            """
            -----BEGIN PRIVATE KEY-----
            MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
            -----END PRIVATE KEY-----
            """,
            """
            -----BEGIN PUBLIC KEY-----
            MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
            -----END PUBLIC KEY-----
            """
        ),
    ]

    @Test("a signature is that of its key, its algorithm and its data alone")
    func signs() throws {
        for (index, pair) in Self.keys.enumerated() {
            let other = Self.keys[(index + 1) % Self.keys.count]
            let scope: Value = [
                "key": ["s": .string(pair.secret), "o": .string(pair.open), "x": .string(other.open)]
            ]
            let made = "local s = crypto.sign('\(pair.algorithm)', key.s, 'data') return "
            let verify = "crypto.verify('\(pair.algorithm)', key.o, "
            #expect(try value(made + verify + "'data', s)", scope) == true)
            #expect(try value(made + verify + "'date', s)", scope) == false)
            #expect(try value(made + verify + "'data', s:sub(2))", scope) == false)
            #expect(try value(verify + "'data', null)", scope) == false)
            let foreign = raised("crypto.verify('\(pair.algorithm)', key.x, 'data', 's')", scope)
            #expect(foreign.contains("no public key"))
            #expect(
                raised("crypto.sign('\(pair.algorithm)', key.o, 'data')", scope).contains("no private key"))
        }
    }

    @Test("the two forms of ES256 are told apart, and Ed25519 is that of RFC 8032")
    func formsOfSignatures() throws {
        let scope: Value = [
            "ec": ["s": .string(Self.keys[1].secret), "o": .string(Self.keys[1].open)],
            "ed": .string(Self.keys[2].secret),
        ]
        let der = "crypto.sign('ES256-DER', ec.s, 'x')"
        #expect(try value("#crypto.sign('ES256', ec.s, 'x')", scope) == 64)
        #expect(try value("crypto.verify('ES256-DER', ec.o, 'x', \(der))", scope) == true)
        #expect(try value("crypto.verify('ES256', ec.o, 'x', \(der))", scope) == false)
        #expect(try value(#"crypto.verify('ES256', ec.o, 'x', ('\0'):rep(64))"#, scope) == false)
        let known =
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555"
            + "fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        #expect(try value("hex.encode(crypto.sign('Ed25519', ed, ''))", scope) == .string(known))
    }

    @Test("many signatures and large tables are bounded")
    func isBounded() {
        let scope: Value = ["k": .string(Self.keys[0].secret)]
        #expect(throws: ExpressionFailure.budgetExceeded) {
            try value("for i = 1, 100 do crypto.sign('RS256', k, 'x') end return 1", scope)
        }
        #expect(throws: ExpressionFailure.memoryExceeded) {
            try value(#"csv.decode((',\n'):rep(100000))"#)
        }
    }
}
