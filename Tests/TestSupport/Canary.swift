import Foundation
import Values

/// A secret that needs an escape in every encoding, and all the ways in which a program may tell it.
package enum Canary {
    /// With a line break, as keys in PEM have.
    package static let text = "cAn4r\"q\"/+&=<\u{E9}>\\x%41\n z9e"

    package static func percent(
        _ text: String, keeping kept: String, space: String = "%20", lower: Bool = false
    )
        -> String
    {
        let kept = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789\(kept)".utf8)
        return text.utf8.map { byte in
            if byte == 0x20 { return space }
            if kept.contains(byte) { return String(UnicodeScalar(byte)) }
            return "%" + (lower ? Hex.encode([byte]) : Hex.encode([byte]).uppercased())
        }.joined()
    }

    private static func units(_ text: String, upper: Bool) -> String {
        text.utf16.map { unit in
            let digits = String(unit, radix: 16, uppercase: upper)
            return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        }.joined()
    }

    private static let encodings: [(name: String, encode: @Sendable (String) -> String)] = [
        ("raw", { $0 }),
        ("encodeURIComponent", { percent($0, keeping: "-_.!~*'()") }),
        ("encodeURI", { percent($0, keeping: ";,/?:@&=+$-_.!~*'()#") }),
        ("quote", { percent($0, keeping: "_.-~/") }),
        ("quote_plus", { percent($0, keeping: "_.-~", space: "+") }),
        ("URLEncoder", { percent($0, keeping: ".-*_", space: "+") }),
        ("lower percent", { percent($0, keeping: "", lower: true) }),
        ("twice percent", { percent(percent($0, keeping: "-_.~"), keeping: "-_.~") }),
        ("JSON", { String(JSON.text(.string($0)).dropFirst().dropLast()) }),
        ("JSON in JSON", { String(JSON.text(.string(JSON.text(.string($0)))).dropFirst().dropLast()) }),
        ("\\u lower", { units($0, upper: false) }), ("\\u upper", { units($0, upper: true) }),
        (
            "HTML names",
            {
                $0.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
                    .replacing("\"", with: "&quot;").replacing("\u{E9}", with: "&eacute;")
            }
        ),
        ("HTML decimal", { $0.unicodeScalars.map { "&#\($0.value);" }.joined() }),
        ("HTML hex", { $0.unicodeScalars.map { "&#x\(String($0.value, radix: 16));" }.joined() }),
        ("base64", { Base64.encode(Array($0.utf8)) }),
        ("base64 of a pair", { Base64.encode(Array("user:\($0)".utf8)) }),
        (
            "base64 for URLs",
            {
                Base64.encode(Array("x\($0)".utf8)).replacing("+", with: "-").replacing("/", with: "_")
            }
        ),
        ("hex", { Hex.encode(Array($0.utf8)) }), ("HEX", { Hex.encode(Array($0.utf8)).uppercased() }),
    ]

    package static let forms = encodings.map { ($0.name, $0.encode(text)) }

    /// What is looked for: every form, also as JSON writes it, and parts of the secret that only it has.
    private static let needles: [(name: String, bytes: Data)] =
        forms.flatMap { name, form in
            [
                (name, Data(form.utf8)),
                (name + " in JSON", Data(JSON.text(.string(form)).utf8.dropFirst().dropLast())),
            ]
        } + [("its beginning", Data("cAn4r".utf8)), ("its end", Data("x%41".utf8))]

    /// The names of all forms that stand in it.
    package static func found(in content: [UInt8]) -> [String] {
        let data = Data(content)
        return needles.filter { data.range(of: $0.bytes) != nil }.map(\.name)
    }
}
