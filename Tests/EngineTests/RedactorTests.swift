import Engine
import Ports
import TestSupport
import Testing
import Values

/// The canary's forms as other programs write them, and random ones.
@Suite("The redactor (I9, S11)")
struct RedactorTests {
    // MARK: - Encoders of other languages

    private static let upper = Array("0123456789ABCDEF".utf8)

    private static func percent(
        _ text: String, keeping kept: String, plus: Bool = false, lower: Bool = false
    ) -> String {
        let kept = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789\(kept)".utf8)
        var out: [UInt8] = []
        for byte in text.utf8 {
            if kept.contains(byte) {
                out.append(byte)
            } else if plus, byte == 0x20 {
                out.append(UInt8(ascii: "+"))
            } else {
                let escape = [UInt8(ascii: "%"), upper[Int(byte >> 4)], upper[Int(byte & 15)]]
                out += lower ? escape.map { $0 >= 0x41 ? $0 | 0x20 : $0 } : escape
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// With every character that `isEscaped` names as `\uXXXX`.
    private static func json(_ text: String, slash: String = "/", upper: Bool = false, all: Bool = false)
        -> String
    {
        var out = ""
        for unit in text.utf16 {
            let scalar = Unicode.Scalar(unit)
            if all || unit >= 0x7F || unit < 0x20 {
                let digits = String(unit, radix: 16, uppercase: upper)
                out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            } else if let scalar {
                out +=
                    scalar == "\"" || scalar == "\\" ? "\\\(scalar)" : scalar == "/" ? slash : String(scalar)
            }
        }
        return out
    }

    private static func html(_ text: String, _ write: (Unicode.Scalar) -> String?) -> String {
        text.unicodeScalars.map { write($0) ?? String($0) }.joined()
    }

    private static let names: [Unicode.Scalar: String] = [
        "&": "&amp;", "<": "&lt;", ">": "&gt;", "\"": "&quot;", "'": "&apos;", "\u{E9}": "&eacute;",
        "/": "&sol;",
    ]

    private static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool {
        !("a"..."z").contains(scalar) && !("A"..."Z").contains(scalar) && !("0"..."9").contains(scalar)
    }

    private static func hex(_ text: String, upper: Bool) -> String {
        let hex = Hex.encode(Array(text.utf8))
        return upper ? hex.uppercased() : hex
    }

    private static func urlSafe(_ text: String) -> String {
        text.replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    struct Encoder: Sendable, CustomTestStringConvertible {
        let name: String
        let encode: @Sendable (String) -> String
        var testDescription: String { name }
    }

    static let encoders: [Encoder] = [
        Encoder(name: "as it is") { $0 },
        Encoder(name: "encodeURIComponent") { percent($0, keeping: "-_.!~*'()") },
        Encoder(name: "encodeURI") { percent($0, keeping: ";,/?:@&=+$-_.!~*'()#") },
        Encoder(name: "URLSearchParams") { percent($0, keeping: "*-._", plus: true) },
        Encoder(name: "escape") { text in
            html(text) { scalar in
                let isKept = !isPunctuation(scalar) || "@*_+-./".unicodeScalars.contains(scalar)
                let digits = String(scalar.value, radix: 16, uppercase: true)
                if isKept { return nil }
                if scalar.value < 0x100 {
                    return "%" + String(repeating: "0", count: 2 - digits.count) + digits
                }
                if scalar.value < 0x10000 {
                    return "%u" + String(repeating: "0", count: 4 - digits.count) + digits
                }
                return String(scalar).utf16.map { "%u" + String($0, radix: 16, uppercase: true) }.joined()
            }
        },
        Encoder(name: "quote") { percent($0, keeping: "_.-~/") },
        Encoder(name: "quote_plus") { percent($0, keeping: "_.-~", plus: true) },
        Encoder(name: "URLEncoder") { percent($0, keeping: ".-*_", plus: true) },
        Encoder(name: "lower case percent") { percent($0, keeping: "-_.~", lower: true) },
        Encoder(name: "every byte percent") { percentAll($0) },
        Encoder(name: "JSON") { String(JSON.text(.string($0)).dropFirst().dropLast()) },
        Encoder(name: "JSON in ASCII") { json($0) },
        Encoder(name: "JSON in ASCII, upper case") { json($0, upper: true) },
        Encoder(name: "JSON with escaped slashes") { json($0, slash: "\\/") },
        Encoder(name: "JSON with every character escaped") { json($0, all: true) },
        Encoder(name: "HTML names") { text in html(text) { names[$0] } },
        Encoder(name: "HTML decimal") { text in html(text) { isPunctuation($0) ? "&#\($0.value);" : nil } },
        Encoder(name: "HTML hexadecimal") { text in
            html(text) { isPunctuation($0) ? "&#x\(String($0.value, radix: 16));" : nil }
        },
        Encoder(name: "HTML hexadecimal, upper case, every character") { text in
            html(text) { "&#X\(String($0.value, radix: 16, uppercase: true));" }
        },
        Encoder(name: "base64") { Base64.encode(Array($0.utf8)) },
        Encoder(name: "base64 behind 1") { Base64.encode(Array("x\($0)".utf8)) },
        Encoder(name: "base64 behind 2") { Base64.encode(Array("u:\($0)y".utf8)) },
        Encoder(name: "base64 for URLs") { urlSafe(Base64.encode(Array($0.utf8))) },
        Encoder(name: "base64 for URLs behind 1") { urlSafe(Base64.encode(Array(":\($0)".utf8))) },
        Encoder(name: "base64 in lines") { text in
            let digits = Base64.encode(Array(String(repeating: "filler ", count: 9).utf8) + Array(text.utf8))
            return digits.enumerated().map { $0.offset % 76 == 75 ? "\($0.element)\r\n" : "\($0.element)" }
                .joined()
        },
        Encoder(name: "hex") { hex($0, upper: false) },
        Encoder(name: "HEX") { hex($0, upper: true) },
        Encoder(name: "source code") { text in text.utf8.map { "\\x" + Hex.encode([$0]) }.joined() },
    ]

    private static func percentAll(_ text: String) -> String {
        text.utf8.map { "%" + Hex.encode([$0]) }.joined()
    }

    private static let secrets = [
        "c4n\"a/ry \u{E9}+ sec?ret\\7", "sk_live_51H8x<y>&'z'/+=", "pa%41ss\\u0041 w\\nord&amp;%",
        "a+b c%20d\\e+f",
        "line one\nline two\ttab", "\u{1F511}k\u{20AC}y-\u{E9}\u{E8}", "abcdef",
        "0123456789abcdef0123456789abcdef",
    ]

    @Test(
        "no encoder's form of a secret stays in a text, nor that of two on top of each other",
        arguments: encoders)
    func formIsMasked(encoder: Encoder) {
        for secret in Self.secrets {
            let redactor = Redactor(secrets: [secret])
            for outer in [Self.encoders[0], encoder] + Self.encoders {
                let form = outer.encode(encoder.encode(secret))
                let result = redactor.redact("before <\(form)> after")
                #expect(
                    result.hasPrefix("before <") && result.hasSuffix("> after")
                        && result.contains("[secret]"),
                    "\(secret) by \(encoder.name), then \(outer.name): \(form) became \(result)")
            }
        }
    }

    @Test("random secrets behind random encoders are found wherever they stand", arguments: UInt64(1)...60)
    func randomForms(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let alphabet = Array("abcxyz019 +/%&\\\"'<>=?;:-_~\u{E9}\u{20AC}\n".unicodeScalars)
        for _ in 0..<20 {
            var secret = ""
            for _ in 0..<(6 + random.next() % 30) {
                secret.unicodeScalars.append(alphabet[Int(random.next() % UInt64(alphabet.count))])
            }
            var form = secret
            var names: [String] = []
            for _ in 0..<(random.next() % 3) {
                let encoder = Self.encoders[Int(random.next() % UInt64(Self.encoders.count))]
                form = encoder.encode(form)
                names.append(encoder.name)
            }
            let result = Redactor(secrets: ["another-secret", secret]).redact("{\"a\": \"\(form)\"}")
            #expect(result.contains("[secret]"), "seed \(seed): \(secret) by \(names): \(form)")
        }
    }

    @Test("what is no secret stays as it is, byte by byte")
    func othersStay() {
        let redactor = Redactor(secrets: Self.secrets)
        for text in [
            "", "a", "an ordinary text, with %20 and \\n and &amp; in it", "%", "%%%", "\\", "\\u12", "&#;",
            "&#x;",
            "&nosuchname;", "\u{0}\u{1}", String(repeating: "A", count: 5_000),
            String(repeating: "deadbeef", count: 100), "%u12", "\\uD83D", "\\uD83D\\u0041", "&#1114112;",
            "&#99999999999;", "\\u{}", "\\u{110000}",
        ] { #expect(redactor.redact(text) == text) }
        let bytes = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) }
        #expect(redactor.redact(bytes) == bytes)
    }

    @Test("secrets that overlap are masked as one, and those that touch as two")
    func overlaps() {
        let redactor = Redactor(secrets: ["abcdef", "defghi", "cdefgh-long"])
        #expect(redactor.redact("<abcdefghi>") == "<[secret]>")
        #expect(redactor.redact("<abcdefabcdef>") == "<[secret][secret]>")
        #expect(redactor.redact("<abcdefgh-long>") == "<[secret]>")
        #expect(redactor.redact("<cdefgh-lon>") == "<cdefgh-lon>")
        #expect(redactor.redact("<cdefghi>") == "<c[secret]>")
    }

    @Test("maps whose names hold secrets keep every member")
    func namesAreKept() {
        let redactor = Redactor(secrets: ["secret-one", "secret-two"])
        let value: Value = ["secret-one": 1, "secret-two": 2, "[secret] 2": 3, "a": ["secret-one", "b"]]
        #expect(
            redactor.redact(value)
                == ["[secret]": 1, "[secret] 3": 2, "[secret] 2": 3, "a": ["[secret]", "b"]])
        #expect(Redactor(secrets: ["123456"]).redact(["n": 123_456, "m": 12]) == ["n": "[secret]", "m": 12])
    }

    @Test("a body that was JSON is JSON afterwards")
    func jsonStaysJSON() throws {
        let redactor = Redactor(secrets: ["123456", "sec\"ret"])
        for (body, expected) in [
            (#"{"pin":123456}"#, #"{"pin":"[secret]"}"#), (#"{"a":"sec\"ret"}"#, #"{"a":"[secret]"}"#),
            (#"{"a":"x"}"#, #"{"a":"x"}"#),
        ] {
            let result = redactor.redact(body: Array(body.utf8), contentType: "application/json")
            #expect(String(decoding: result, as: UTF8.self) == expected)
        }
    }

    // MARK: - Cost

    private func time(_ redactor: Redactor, _ body: [UInt8]) -> Duration {
        var best = Duration.seconds(60)
        for _ in 0..<3 { best = min(best, ContinuousClock().measure { _ = redactor.redact(body) }) }
        return best
    }

    @Test("the time grows with the text alone, whatever stands in it")
    func timeIsLinearInTheText() {
        let redactor = Redactor(secrets: ["canary", String(repeating: "ab", count: 400) + "c"])
        for piece in [
            "canary!", "canarycanary", "ababababab", "%2525", "\\\\u0041", "&amp;", "Y2FuYXJ5",
            "63616e617279",
        ] {
            let small = time(redactor, Array(String(repeating: piece, count: 1_000).utf8))
            let large = time(redactor, Array(String(repeating: piece, count: 16_000).utf8))
            #expect(large < small * 80, "16 times \(piece): \(small) became \(large)")
        }
    }

    @Test("the time does not grow with the number of secrets, however alike and long they are")
    func timeIsFlatInTheSecrets() {
        let long = String(repeating: "a", count: 1_500)
        func secrets(_ count: Int) -> [String] { (0..<count).map { "\(long)\($0)-\(long)" } }
        let body = Array(String(repeating: long + "1", count: 60).utf8)
        let few = time(Redactor(secrets: secrets(2)), body)
        let many = time(Redactor(secrets: secrets(60)), body)
        #expect(many < few * 8, "30 times as many: \(few) became \(many)")
    }

    @Test("a map with many names that hold a secret takes time in proportion to them")
    func namesAreLinear() {
        let redactor = Redactor(secrets: ["canary"])
        func time(_ count: Int) -> Duration {
            let value = Value.object(
                Object((0..<count).map { .init(name: "canary\($0 % 7)", value: .int(Int64($0))) }))
            return ContinuousClock().measure { _ = redactor.redact(value) }
        }
        _ = time(100)
        let small = time(500)
        let large = time(8_000)
        #expect(large < small * 80, "16 times the names: \(small) became \(large)")
    }
}
