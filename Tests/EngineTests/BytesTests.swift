import Engine
import Ports
import Storage
import Testing
import Values

@Suite("Content that is not UTF-8")
struct BytesTests {
    private static let binary: [UInt8] = [0xFF, 0xD8, 0x00, 0x22, 0x7E, 0xE9]

    /// A run that starts with `body`, of that type.
    private func play(_ workflow: String, body: [UInt8], type: String) throws -> Play {
        var play = try Play(workflow)
        let start = RunStart(
            triggerKind: "webhook", headers: [HTTPHeader("content-type", type)], query: [], body: body,
            at: Play.start, tenantName: "Acme", externalCustomerID: nil)
        play.feed(.started(start, isFunded: true))
        return play
    }

    @Test("a body is read, journaled, sent on and put out byte by byte")
    func wholeWay() throws {
        var play = try play(
            """
            steps:
              - {id: keep, lua: "return {file = trigger.raw_body, size = len(trigger.raw_body)}"}
              - {id: send, request: {method: POST, url: "https://api.example.com/", body: << steps.keep.output.file >>}}
            output: {kept: << steps.keep.output >>, text: "<< trigger.body >>!", same: << trigger.raw_body == trigger.body >>}
            """, body: Self.binary, type: "application/octet-stream")
        let request = try play.request("send")
        #expect(request.body == Self.binary)
        #expect(request.headers["content-type"] == "application/octet-stream")
        play.answer("send")
        let output = play.outcome?.output
        #expect(output?["kept"] == ["file": .bytes(Self.binary), "size": 6])
        #expect(output?["text"] == .bytes(Self.binary + [0x21]))
        #expect(output?["same"] == true)
        for record in play.records {
            try #expect(JournalRecord(stored: record.stored).stored == record.stored)
        }
    }

    @Test("bytes are `{base64: …}` in a JSON body, escapes in a form, and content in multipart")
    func insideOfBodies() throws {
        let play = try play(
            """
            steps:
              json: {request: {method: POST, url: "https://api.example.com/", body: {file: << trigger.body >>}}}
              form:
                after: []
                request:
                  method: POST
                  url: https://api.example.com/
                  headers: {Content-Type: application/x-www-form-urlencoded}
                  body: {file: << trigger.body >>}
              parts:
                after: []
                request:
                  method: POST
                  url: https://api.example.com/
                  headers: {content-type: multipart/form-data}
                  body: {a: b, file: {filename: x.jpg, content_type: image/jpeg, content: << trigger.body >>}}
            """, body: Self.binary, type: "image/jpeg")
        try #expect(play.request("json").body == Array(#"{"file":{"base64":"/9gAIn7p"}}"#.utf8))
        try #expect(play.request("form").body == Array("file=%FF%D8%00%22~%E9".utf8))
        let parts = try play.request("parts")
        let types = parts.headers.filter { $0.name.lowercased() == "content-type" }
        #expect(types.count == 1)
        try #expect(
            BodyReader.read(parts.body, contentType: types.first?.value)
                == [
                    "a": "b",
                    "file": [
                        "filename": "x.jpg", "content_type": "image/jpeg", "content": .bytes(Self.binary),
                    ],
                ])
    }

    @Test(
        "bytes have no place in an address, a header or a credential",
        arguments: [
            "{url: 'https://api.example.com/<< trigger.body >>'}",
            "{url: 'https://api.example.com/', query: {a: << trigger.body >>}}",
            "{url: 'https://api.example.com/', headers: {a: << trigger.body >>}}",
            "{url: 'https://api.example.com/', headers: {a: 'b << trigger.body >>'}}",
            "{url: 'https://api.example.com/', auth: {bearer: << trigger.body >>}}",
            "{url: 'https://api.example.com/', idempotency_key: << trigger.body >>}",
        ])
    func whereOnlyTextStands(request: String) throws {
        let play = try play("steps:\n  a: {request: \(request)}", body: Self.binary, type: "image/jpeg")
        #expect(play.sent.isEmpty)
        #expect(play.error(of: "a")?.code == "invalid_request")
    }

    @Test("what a child is given comes back from its journal as it was")
    func inputs() throws {
        let values: [Value] = [["file": .bytes(Self.binary)], .bytes([0xFF]), ["base64": "AA=="], "~", nil]
        for value in values {
            var start = RunStart(
                triggerKind: "call", headers: [HTTPHeader("content-type", "application/json")], query: [],
                body: JSON.bytes(value), at: Play.start, tenantName: "Acme", externalCustomerID: nil)
            if value.holdsBytes { start.input = value }
            let record = JournalRecord(
                sequence: 1, at: Play.start, chargeMilliseconds: 0, entry: .runStarted(start))
            guard case .runStarted(let read) = try JournalRecord(stored: record.stored).entry else {
                Issue.record("another entry")
                return
            }
            #expect(TriggerView(read).body == value)
        }
    }
}
