import Ports
import Values

extension WorkflowDecoder {
    private static let requestKeys = ["method", "url", "headers", "query", "body", "auth", "idempotency_key"]
    private static let responseKeys = ["timeout", "schema", "accept", "fail_when", "sensitive", "body"]
    private static let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    /// Headers that the engine or the transport sets.
    private static let reservedHeaders: Set<String> = [
        "host", "content-length", "transfer-encoding", "connection", "expect", "upgrade", "te", "trailer",
        "keep-alive", "proxy-connection", "millrace-run", "millrace-step", "millrace-attempt", "traceparent",
    ]
    /// Reply headers that affect framing, or other tenants, because all tenants share one origin.
    private static let reservedReplyHeaders: Set<String> = [
        "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "keep-alive",
        "proxy-connection", "date", "set-cookie", "clear-site-data", "strict-transport-security",
    ]

    /// The owner of headers, which decides the names that are refused.
    enum HeaderOwner { case request, reply }

    mutating func request(_ node: Node, response: Node?) -> RequestTemplate? {
        let firstUse = uses.count
        let fields = fields(of: node, as: "a request", known: Self.requestKeys)
        guard let fields else {
            _ = response.map { responseRule($0) }
            return nil
        }
        let method = fields["method"].map { self.method($0) } ?? .constant("GET")
        let url = required("url", in: fields, at: node).map { self.url($0) } ?? .constant(.null)
        let headers = fields["headers"].map { self.headers($0, of: .request) } ?? []
        let query = fields["query"].map { self.query($0) } ?? .fields([])
        let body = fields["body"].map { template($0) }
        let authorization = fields["auth"].flatMap { self.authorization($0) }
        if let auth = fields.member("auth"),
            headers.contains(where: { $0.name.lowercased() == "authorization" })
        {
            note(
                .twoAuthorizations, at: auth.nameMark,
                "the request has both `auth` and an Authorization header",
                hint: "keep one of the two")
        }
        var idempotencyKey: Template?
        if let key = fields.member("idempotency_key") {
            idempotencyKey = scalarTemplate(key.value, as: "idempotency_key")
            checkKey(idempotencyKey?.constant, key.value)
            if !["GET", "HEAD", "OPTIONS"].contains(method.constant?.string) {
                note(
                    .ownIdempotencyKey, at: key.nameMark,
                    "this replaces the engine's key, which alone is sure to be the same on every attempt and for no other call",
                    hint: "remove it unless the receiver asks for a key of its own")
            }
        }
        let secretNames = Set(uses[firstUse...].flatMap(\.expression.secretNames)).sorted()
        return RequestTemplate(
            method: method, url: url, headers: headers, query: query, body: body,
            authorization: authorization, idempotencyKey: idempotencyKey, secretNames: secretNames,
            response: response.map { responseRule($0) } ?? ResponseRule())
    }

    private mutating func checkKey(_ constant: Value?, _ node: Node) {
        guard let count = constant?.text.utf8.count, !(1...255).contains(count), !node.value.isNull else {
            return
        }
        note(.outOfRange, at: node.mark, "idempotency_key has from 1 to 255 bytes, not \(count)")
    }

    private mutating func method(_ node: Node) -> Template {
        let template = scalarTemplate(node, as: "a method")
        guard let constant = template.constant, !constant.isNull else { return template }
        let name = constant.text.uppercased()
        if !Self.methods.contains(name) { noteChoice(constant.text, at: node.mark, "a method", Self.methods) }
        return .constant(.string(name))
    }

    private mutating func url(_ node: Node) -> Template {
        let template = scalarTemplate(node, as: "a url")
        let start: String
        switch template {
        case .constant(.string(let text)): start = text
        case .text(let parts):
            guard case .literal(let literal)? = parts.first else { return template }
            start = literal
        default: return template
        }
        let lower = start.lowercased()
        let scheme = lower.hasPrefix("http://") || lower.hasPrefix("https://")
        if !scheme {
            note(
                .badURL, at: node.mark, "a url starts with https:// or http://",
                hint: start.utf8.first == UInt8(ascii: "/") ? "put the host before the path" : nil)
        } else if start.utf8.contains(0x20) {
            note(
                .badURL, at: node.mark, "a url has no spaces",
                hint: "write %20, or use `query`, which encodes by itself")
        }
        return template
    }

    /// A value that becomes one text; reports lists, maps and control characters.
    mutating func scalarTemplate(_ node: Node, as kind: String) -> Template {
        let template = template(node)
        switch template {
        case .list, .map, .constant(.array), .constant(.object):
            note(.wrongType, at: node.mark, "\(kind) is a text, not \(node.kindPhrase)")
        case .constant(.null) where node.value.isNull:
            note(.wrongType, at: node.mark, "\(kind) has no value", hint: "remove the key, or give it a text")
        case .constant(.string(let text)): checkControls(text, node, kind)
        case .text(let parts):
            for case .literal(let text) in parts { checkControls(text, node, kind) }
        default: break
        }
        return template
    }

    private mutating func checkControls(_ text: String, _ node: Node, _ kind: String) {
        guard text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else { return }
        note(
            .controlCharacter, at: node.mark, "\(kind) holds a line end or another control character",
            hint: "a block text (|) ends in a line end: write |- or use quotes")
    }

    // MARK: - Headers and query

    mutating func headers(_ node: Node, of owner: HeaderOwner) -> [RequestTemplate.Field] {
        guard let members = node.members else {
            note(.wrongType, at: node.mark, "headers is a map, not \(node.kindPhrase)")
            return []
        }
        var seen: Set<String> = []
        return members.map { member in
            checkHeaderName(member, of: owner, seen: &seen)
            return RequestTemplate.Field(
                name: member.name, value: scalarTemplate(member.value, as: "the header \(quote(member.name))")
            )
        }
    }

    private mutating func checkHeaderName(
        _ member: Node.Member, of owner: HeaderOwner, seen: inout Set<String>
    ) {
        let allowed = Set("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz".utf8)
        let lower = member.name.lowercased()
        if lower.isEmpty || !lower.utf8.allSatisfy(allowed.contains) {
            note(.badHeader, at: member.nameMark, "\(quote(member.name)) is not a name of a header")
        } else if owner == .reply, Self.reservedReplyHeaders.contains(lower) {
            note(
                .badHeader, at: member.nameMark, "a reply cannot set \(quote(member.name))",
                hint: "remove it")
        } else if owner == .request, lower == "idempotency-key" {
            note(
                .badHeader, at: member.nameMark, "the engine sets Idempotency-Key itself",
                hint: "use `idempotency_key` of the request to replace it")
        } else if owner == .request, Self.reservedHeaders.contains(lower) {
            note(
                .badHeader, at: member.nameMark, "the engine sets \(quote(member.name)) itself",
                hint: "remove it")
        } else if !seen.insert(lower).inserted {
            note(
                .badHeader, at: member.nameMark, "\(quote(member.name)) occurs twice",
                hint: "keep one of the two")
        }
    }

    private mutating func query(_ node: Node) -> RequestTemplate.Query {
        if node.isBlockForm || node.members == nil, case .expression(let whole) = template(node) {
            return .expression(.expression(whole))
        }
        guard let members = node.members else {
            note(
                .wrongType, at: node.mark, "query is a map, not \(node.kindPhrase)",
                hint: "write each parameter as `name: value`, or one expression that gives the map")
            return .fields([])
        }
        return .fields(
            members.map { member in
                RequestTemplate.Field(
                    name: member.name,
                    value: parameter(member.value, as: "the parameter \(quote(member.name))"))
            })
    }

    /// A text, a list of texts, or null, which omits the parameter.
    private mutating func parameter(_ node: Node, as kind: String) -> Template {
        if case .scalar = node.content, node.value.isNull { return .constant(.null) }
        guard let items = node.items else { return scalarTemplate(node, as: kind) }
        return Template.list(items.map { scalarTemplate($0, as: kind) }).folded
    }

    private mutating func authorization(_ node: Node) -> RequestTemplate.Authorization? {
        guard let fields = fields(of: node, as: "auth", known: ["bearer", "basic"]) else { return nil }
        if let bearer = fields["bearer"] {
            if let basic = fields.member("basic") {
                note(
                    .twoAuthorizations, at: basic.nameMark, "auth has both `bearer` and `basic`",
                    hint: "keep one of the two")
            }
            return .bearer(credential(bearer, as: "bearer"))
        }
        guard let basic = fields["basic"] else {
            if fields.members.isEmpty {
                note(.missingKey, at: node.mark, "auth is empty", hint: "give it `bearer` or `basic`")
            }
            return nil
        }
        guard let parts = self.fields(of: basic, as: "basic", known: ["username", "password"]) else {
            return nil
        }
        let username = required("username", in: parts, at: basic).map { credential($0, as: "username") }
        let password = parts["password"].map { scalarTemplate($0, as: "password") } ?? .constant("")
        return username.map { .basic(username: $0, password: password) }
    }

    /// A text that is not empty.
    private mutating func credential(_ node: Node, as kind: String) -> Template {
        let template = scalarTemplate(node, as: kind)
        if template.constant?.string?.isEmpty == true {
            note(.wrongType, at: node.mark, "\(kind) is empty", hint: "give it a text, or remove `auth`")
        }
        return template
    }

    // MARK: - Response

    mutating func responseRule(_ node: Node) -> ResponseRule {
        var rule = ResponseRule()
        guard let fields = fields(of: node, as: "response", known: Self.responseKeys) else { return rule }
        if let timeout = fields["timeout"].flatMap({
            duration($0, as: "timeout", in: .milliseconds(1)...(.seconds(3600)))
        }) {
            rule.timeout = timeout
        }
        rule.schema = fields["schema"].flatMap { schema($0) }
        view.hasResponse = true
        rule.failWhen = fields["fail_when"].flatMap { bareExpression($0, under: "fail_when") }
        view.hasResponse = false
        if let node = fields["sensitive"] { rule.sensitive = sensitivePaths(node) }
        if let body = fields.member("body"), let word = text(body.value, as: "body") {
            switch word {
            case "text": rule.reading = .text
            case "bytes": rule.reading = .bytes
            default: noteChoice(word, at: body.value.mark, "a way to read a body", ["text", "bytes"])
            }
            for name in ["schema", "sensitive"] where fields[name] != nil {
                noteConflict(
                    body, with: name, of: "response",
                    hint: "`\(name)` is for a body that is read by its type: remove one of the two")
            }
        }
        if let accept = fields["accept"] {
            let items = accept.items ?? [accept]
            rule.accept = items.compactMap { wholeNumber($0, as: "a status", in: 100...599) }
        }
        return rule
    }

    private mutating func sensitivePaths(_ node: Node) -> [SensitivePath] {
        let items = node.items ?? [node]
        if items.isEmpty {
            note(
                .emptyList, at: node.mark, "sensitive names no place",
                hint: "remove it, or write `body.access_token`")
        }
        return items.compactMap { item in
            guard let text = text(item, as: "a sensitive place") else { return nil }
            if let path = SensitivePath(text) { return path }
            note(
                .badSensitivePath, at: item.mark, "\(quote(text)) is not a place in an answer",
                hint:
                    "write `body.access_token`, `body.keys[*].secret`, `headers.x-token`, or `body` for all of it"
            )
            return nil
        }
    }
}
