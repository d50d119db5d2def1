import Testing
import Values

@Suite("multipart/form-data")
struct MultipartTests {
    private func read(_ body: [UInt8], boundary: String = "X") throws -> Value {
        try BodyReader.read(body, contentType: "multipart/form-data; boundary=\(boundary)")
    }

    private func part(_ disposition: String, _ content: [UInt8], type: String? = nil) -> [UInt8] {
        let line = type.map { "Content-Type: \($0)\r\n" } ?? ""
        return Array("--X\r\nContent-Disposition: form-data; \(disposition)\r\n\(line)\r\n".utf8) + content
            + Array("\r\n".utf8)
    }

    private let end = Array("--X--\r\n".utf8)

    @Test("Fields are texts and files are maps; content is kept byte by byte")
    func fieldsAndFiles() throws {
        let jpeg: [UInt8] = [0xFF, 0xD8, 0x0D, 0x0A, 0x00, 0x2D, 0x2D, 0x58]
        let body =
            part("name=\"title\"", Array("café".utf8))
            + part("name=\"photo\"; filename=\"a \\\"b\\\".jpg\"", jpeg, type: "image/jpeg")
            + part("name=\"note\"; filename=\"n.txt\"", Array("line\r\n".utf8)) + part("name=\"empty\"", [])
            + part("name=latin", [0xE9]) + part("name=said", [0xE9], type: "text/plain; charset=iso-8859-1")
            + end
        try #expect(
            read(body)
                == [
                    "title": "café",
                    "photo": [
                        "filename": "a \"b\".jpg", "content_type": "image/jpeg", "content": .bytes(jpeg),
                    ], "note": ["filename": "n.txt", "content_type": nil, "content": "line\r\n"], "empty": "",
                    "latin": .bytes([0xE9]), "said": "é",
                ])
    }

    @Test("Repeated names follow the rule of forms")
    func repeatedNames() throws {
        let body = ["a", "a", "b[]", "c"].flatMap { part("name=\"\($0)\"", [0x31]) } + end
        try #expect(read(body) == ["a": ["1", "1"], "b[]": ["1"], "c": "1"])
    }

    @Test("What senders do differently is read all the same")
    func leniency() throws {
        let plain: Value = ["a": "1"]
        for text in [
            "preamble\r\n--X\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--X--\r\nepilogue",
            "--X\nContent-Disposition: form-data; name=\"a\"\n\n1\n--X--",
            "--X  \r\ncontent-disposition:form-data ; NAME=\"a\"\r\nX-Other: y\r\n\r\n1\r\n--X-- ",
        ] {
            try #expect(read(Array(text.utf8)) == plain)
        }
        let quoted = try BodyReader.read(
            part("name=a", [0x31]) + end, contentType: "Multipart/Form-Data; charset=utf-8; boundary=\"X\"")
        #expect(quoted == plain)
        let named = part("name=f; filename=\"old.txt\"; filename*=UTF-8''n%C3%A9w.txt", []) + end
        try #expect(read(named)["f"]?["filename"] == "néw.txt")
        try #expect(read(Array("--X--".utf8)) == [:])
        // A line that begins like the boundary, and is a longer one, is content.
        for longer in ["--XY", "--X-", "--X-Y", "--X--Y", "--X-Y--"] {
            let content = "\r\n\(longer)\r\n"
            try #expect(
                read(part("name=a", Array(content.utf8)) + end) == ["a": .string(content)], "\(longer)")
            let preamble = Array("\(longer)\r\n".utf8)
            try #expect(read(preamble + part("name=a", [0x31]) + end) == plain, "\(longer)")
        }
    }

    @Test(
        "What is not whole is a problem",
        arguments: [
            "", "no boundary at all", "--X\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n",
            "--X\r\nContent-Disposition: form-data; name=a\r\n",
            "--X\r\nContent-Disposition: form-data\r\n\r\n1\r\n--X--",
            "--X\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--X--", "--X\r\n\r\n1\r\n--X--",
            "--X\r\nContent-Disposition: form-data; name=a\r\ncontent-disposition: form-data; name=b\r\n\r\n1\r\n--X--",
            "--X\r\nno colon\r\n\r\n1\r\n--X--", "--X", "--Xjunk\r\n",
        ])
    func broken(text: String) {
        guard !text.isEmpty else { return }
        let problem = #expect(throws: BodyProblem.self) { try read(Array(text.utf8)) }
        #expect(problem?.format == .multipart)
        #expect(throws: BodyProblem.self) {
            try BodyReader.read(Array(text.utf8), contentType: "multipart/form-data")
        }
    }

    @Test("What is written is read back as the same, whatever the content holds")
    func writing() throws {
        let file: [UInt8] = [0xFF, 0x00] + Array("\r\n--millrace-0700000000000000--\r\n".utf8)
        let value: Value = [
            "title": "café", "count": 12, "none": nil, "raw": .bytes([0xFF]), "tags": ["a", "b"],
            "photo": ["filename": "a.jpg", "content_type": "image/jpeg", "content": .bytes(file)],
            "plain": ["filename": "b.bin", "content": "text"],
            "meta": ["content": ["a": 1], "content_type": "application/json"],
        ]
        let written = try Multipart.write(try #require(value.object), seed: 7)
        #expect(written.boundary != "millrace-0700000000000000")
        try #expect(
            read(written.bytes, boundary: written.boundary)
                == [
                    "title": "café", "count": "12", "none": "", "raw": .bytes([0xFF]), "tags": ["a", "b"],
                    "photo": ["filename": "a.jpg", "content_type": "image/jpeg", "content": .bytes(file)],
                    "plain": [
                        "filename": "b.bin", "content_type": "application/octet-stream", "content": "text",
                    ], "meta": #"{"a":1}"#,
                ])
        let again = try Multipart.write(try #require(value.object), seed: 7)
        #expect(again.bytes == written.bytes)
    }

    @Test("Names cannot break out of their header, and what has no place in a form is refused")
    func refusals() throws {
        let written = try Multipart.write(Object([.init(name: "a\"\r\nX: y", value: "1")]), seed: 1)
        #expect(String(decoding: written.bytes, as: UTF8.self).contains(#"name="a%22%0D%0AX: y""#))
        for value: Value in [
            ["a": ["b": 1]], ["a": [["b"]]], ["a": ["content": "x", "content_type": "a\r\nb"]],
        ] {
            #expect(throws: Multipart.Fault.self) {
                try Multipart.write(try #require(value.object), seed: 1)
            }
        }
    }
}
