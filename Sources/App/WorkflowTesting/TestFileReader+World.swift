import Ports
import Values
import Workflow

// What the case gives: its trigger and how the world answers.

extension TestFileReader {
    mutating func decodeTrigger(_ node: Node, into trigger: inout TriggerGiven) {
        let known = ["type", "event", "body", "raw_body", "headers", "query", "sign"]
        guard let fields = map(node, "trigger", known: known) else { return }
        if let node = fields["type"] {
            let types = ["http", "webhook", "hook", "manual", "schedule", "run", "call"]
            trigger.kind = choice(node, "type of trigger", types)
            // Any workflow can be called.
            let kinds = (definition?.triggers.map(\.kind.name) ?? []) + ["call"]
            if let kind = trigger.kind, !kinds.contains(kind) {
                note(.unknownName, node.mark, "the workflow has no trigger of type `\(kind)`")
            }
        }
        if let node = fields["event"] { trigger.event = text(node, "event") }
        if let node = fields["body"] {
            let bytes = node.value.givenBytes
            (trigger.body, trigger.raw) = (bytes == nil ? node.value : nil, bytes)
        }
        if let node = fields["raw_body"] {
            if fields["body"] != nil {
                note(.duplicate, node.mark, "`body` and `raw_body` exclude each other")
            }
            let bytes = node.value.givenBytes ?? text(node, "raw_body").map { Array($0.utf8) }
            (trigger.body, trigger.raw) = (nil, bytes)
        }
        if let node = fields["headers"] { trigger.headers = headers(node, lowercased: true) }
        if let node = fields["query"] {
            trigger.query = (entries(node, "query") ?? []).flatMap { member in
                (member.value.value.array ?? [member.value.value]).map { (member.name, $0.text) }
            }
        }
        if let node = fields["sign"] { trigger.signature = signature(node) }
    }

    /// Those without a value are left out.
    mutating func headers(_ node: Node, lowercased: Bool = false) -> [HTTPHeader] {
        (entries(node, "headers") ?? []).filter { !$0.value.value.isNull }.map {
            HTTPHeader(lowercased ? $0.name.lowercased() : $0.name, $0.value.value.text)
        }
    }

    private mutating func signature(_ node: Node) -> SignatureGiven? {
        if node.value.isNull { return nil }
        guard let schemes = map(node, "sign", known: ["stripe", "mollie", "hmac"]),
            let scheme = schemes.members.first, schemes.members.count == 1
        else {
            note(.badValue, node.mark, "sign names one of stripe, mollie and hmac")
            return nil
        }
        let own =
            ["stripe": ["at"], "hmac": ["header", "algorithm", "prefix", "encoding"]][scheme.name] ?? []
        guard let fields = map(scheme.value, "sign.\(scheme.name)", known: ["secret"] + own) else {
            return nil
        }
        guard let secret = fields["secret"].flatMap({ text($0, "secret") }) else {
            note(.missing, scheme.value.mark, "`secret` of the signature is missing")
            return nil
        }
        switch scheme.name {
        case "stripe":
            return SignatureGiven(
                scheme: .stripe(at: fields["at"].flatMap { instant($0) }), secret: secret)
        case "mollie":
            return SignatureGiven(
                scheme: .hmac(
                    header: "x-mollie-signature", algorithm: "sha256", prefix: "sha256=", isBase64: false),
                secret: secret)
        default:
            guard let header = fields["header"].flatMap({ text($0, "header") }) else {
                note(.missing, scheme.value.mark, "`header` of the signature is missing")
                return nil
            }
            let algorithm = fields["algorithm"].flatMap {
                choice($0, "algorithm", ["sha1", "sha256", "sha384", "sha512"])
            }
            let encoding = fields["encoding"].flatMap { choice($0, "encoding", ["hex", "base64"]) }
            return SignatureGiven(
                scheme: .hmac(
                    header: header.lowercased(), algorithm: algorithm ?? "sha256",
                    prefix: fields["prefix"].flatMap { text($0, "prefix") } ?? "",
                    isBase64: encoding == "base64"), secret: secret)
        }
    }
}

// MARK: - Mocks

extension TestFileReader {
    private static let answerKeys = ["status", "body", "headers", "error", "took", "times"]

    mutating func mocks(_ node: Node) -> [Mock] {
        if let items = node.items { return items.compactMap { requestMock($0) } }
        return (entries(node, "mocks") ?? []).compactMap { member in
            guard let step = step(member.name, at: member.nameMark) else { return nil }
            let answers = isCall(step) ? childAnswers(member.value) : answers(member.value)
            return Mock(target: .step(step), answers: answers, mark: member.nameMark, isDefault: isDefault)
        }
    }

    private mutating func requestMock(_ node: Node) -> Mock? {
        guard let fields = map(node, "a mock", known: ["match", "step", "answers"] + Self.answerKeys) else {
            return nil
        }
        let answers: [MockAnswer]
        if let list = fields["answers"] {
            answers = self.answers(list)
        } else {
            answers = [answer(Fields(members: fields.members), at: node)]
        }
        if let name = fields["step"], let text = text(name, "step"), let step = step(text, at: name.mark) {
            return Mock(target: .step(step), answers: answers, mark: node.mark, isDefault: isDefault)
        }
        guard let match = fields["match"], let text = text(match, "match") else {
            if fields["step"] == nil { note(.missing, node.mark, "a mock needs `match` or `step`") }
            return nil
        }
        let parts = text.split(separator: " ", maxSplits: 1).map(String.init)
        guard parts.count == 2 else {
            note(
                .badValue, match.mark, "match is a method and an address",
                "such as `POST https://api.example/*`")
            return nil
        }
        return Mock(
            target: .request(method: parts[0].uppercased(), url: parts[1]), answers: answers,
            mark: node.mark, isDefault: isDefault)
    }

    private mutating func answers(_ node: Node) -> [MockAnswer] {
        (node.items ?? [node]).compactMap { item in
            map(item, "an answer", known: Self.answerKeys).map { answer($0, at: item) }
        }
    }

    private mutating func answer(_ fields: Fields, at node: Node) -> MockAnswer {
        let took = fields["took"].flatMap { duration($0) } ?? .zero
        let times = fields["times"].flatMap { whole($0, "times", 1...1000) } ?? 1
        if let error = fields["error"] {
            if fields["status"] != nil {
                note(.duplicate, error.mark, "`status` and `error` exclude each other")
            }
            return MockAnswer(reply: .response(unanswered(error)), took: took, times: times)
        }
        if fields["status"] == nil {
            note(
                .missing, node.mark, "an answer needs `status` or `error`", "such as {status: 200, body: {}}")
        }
        let status = fields["status"].flatMap { whole($0, "status", 100...599) } ?? 200
        var headers = fields["headers"].map { self.headers($0, lowercased: true) } ?? []
        var bytes: [UInt8] = []
        if let body = fields["body"]?.value {
            if let text = body.string {
                bytes = Array(text.utf8)
                if headers["content-type"] == nil { headers.append(HTTPHeader("content-type", "text/plain")) }
            } else if let given = body.givenBytes {
                bytes = given
                if headers["content-type"] == nil {
                    headers.append(HTTPHeader("content-type", "application/octet-stream"))
                }
            } else {
                bytes = JSON.bytes(body)
                if headers["content-type"] == nil {
                    headers.append(HTTPHeader("content-type", "application/json"))
                }
            }
        }
        let response = OutboundResponse(status: status, headers: headers, body: bytes)
        return MockAnswer(reply: .response(.success(response)), took: took, times: times)
    }

    private mutating func unanswered(_ node: Node) -> Result<OutboundResponse, TransportFailure> {
        let words = [
            "timeout", "connection", "interrupted", "tls", "destination_refused", "response_too_large",
            "unreadable_answer",
        ]
        switch choice(node, "error of a request", words) {
        case "timeout": return .failure(.timeout)
        case "interrupted": return .failure(.interrupted(reason: "so the test says"))
        case "tls": return .failure(.tls(reason: "so the test says"))
        case "destination_refused": return .failure(.destinationRefused)
        case "response_too_large": return .failure(.responseTooLarge(limit: "so the test says"))
        case "unreadable_answer":
            var response = OutboundResponse(status: 200, headers: [], body: [])
            response.fault = "so the test says"
            return .success(response)
        default: return .failure(.connection(reason: "so the test says"))
        }
    }
}
