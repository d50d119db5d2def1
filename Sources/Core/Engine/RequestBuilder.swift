import Ports
import Values
import Workflow

/// Why a request could not be built from its template; nothing has been sent.
enum RequestFailure: Error {
    case expression(ExpressionFailure, place: String)
    case invalid(reason: String)
    case secretNotForHost(secret: String)

    var code: String {
        switch self {
        case .expression(let failure, _): failure.label
        case .invalid: "invalid_request"
        case .secretNotForHost: "secret_not_for_host"
        }
    }

    var message: String {
        switch self {
        case .expression(let failure, let place): "\(place): \(failure.message)"
        case .invalid(let reason): reason
        case .secretNotForHost(let secret):
            "the secret \(secret) may not be sent to this host: see its list of hosts"
        }
    }
}

/// Builds the request of one attempt from its template.
///
/// Values are data: each is encoded for its place, and a control character in URL, headers or key refuses the
/// request.
struct RequestBuilder {
    let template: RequestTemplate
    let stepPath: String
    let run: RunID
    let attempt: Int
    let scope: RunScope
    let surroundings: Surroundings
    let at: Instant

    func request() throws(RequestFailure) -> OutboundRequest {
        let url = try self.url()
        try checkSecrets(host: url.host)
        let method = try text(template.method, "method").uppercased()
        guard !method.isEmpty, method.utf8.allSatisfy({ (0x41...0x5A).contains($0) }) else {
            throw .invalid(reason: "method: letters only, such as GET or POST")
        }
        var headers = try self.headers()
        let body = try self.body(contentType: headers["content-type"])
        if let type = body.contentType {
            headers.removeAll { $0.name.lowercased() == "content-type" }
            headers.append(HTTPHeader("Content-Type", type))
        }
        try authorize(&headers)
        try identify(&headers)
        sign(&headers, method: method, url: url.text, body: body.bytes)
        return OutboundRequest(
            method: method, url: url.text, headers: headers, body: body.bytes,
            timeout: template.response.timeout)
    }

    private func value(_ template: Template, _ place: String) throws(RequestFailure) -> Value {
        do throws(ExpressionFailure) { return try template.value(in: scope) } catch {
            throw .expression(error, place: place)
        }
    }

    private func text(_ template: Template, _ place: String) throws(RequestFailure) -> String {
        if case .constant(.string(let text)) = template { return text }
        return try Self.text(of: try value(template, place), place)
    }

    private static func text(of value: Value, _ place: String) throws(RequestFailure) -> String {
        switch value {
        case .array, .object, .bytes:
            throw .invalid(reason: "\(place): a \(value.kindName) cannot stand here, only text")
        default: return value.text
        }
    }

    /// A text in which no expression may be null, because a missing part would be sent as an empty one.
    private func wholeText(
        _ template: Template, _ place: String, mayBeEmpty: Bool
    ) throws(RequestFailure) -> String {
        if case .text(let parts) = template {
            var text = ""
            for part in parts {
                switch part {
                case .literal(let literal): text += literal
                case .expression(let expression):
                    text += try wholeText(.expression(expression), place, mayBeEmpty: mayBeEmpty)
                }
            }
            return text
        }
        if case .constant(.string(let text)) = template { return text }
        let value = try value(template, place)
        if value.isNull {
            throw .invalid(reason: "\(place): an expression in it gave null, which would be sent as nothing")
        }
        let text = try Self.text(of: value, place)
        // Blanks at the end of a header are no part of its value, so a text of blanks alone would arrive as an empty one.
        guard mayBeEmpty || !text.utf8.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) else {
            throw .invalid(reason: "\(place): an expression in it gave an empty text, or blanks alone")
        }
        return text
    }

    private func headers() throws(RequestFailure) -> [HTTPHeader] {
        var headers: [HTTPHeader] = []
        headers.reserveCapacity(template.headers.count + 7)
        for field in template.headers {
            let place = "header \(field.name)"
            let isCredential = field.name.utf8.count == 13 && field.name.lowercased() == "authorization"
            let value = try wholeText(field.value, place, mayBeEmpty: !isCredential)
            try Self.refuseControls(in: value, place)
            headers.append(HTTPHeader(field.name, value))
        }
        return headers
    }

    static func refuseControls(in text: String, _ place: String) throws(RequestFailure) {
        var text = text
        let hasControl = text.withUTF8 { bytes in bytes.contains { $0 < 0x20 || $0 == 0x7F } }
        if hasControl {
            throw .invalid(reason: "\(place): contains a control character, such as a line break")
        }
    }

    private func body(contentType: String?) throws(RequestFailure) -> (bytes: [UInt8], contentType: String?) {
        guard let template = template.body else { return ([], nil) }
        let value = try value(template, "body")
        switch value {
        case .string(let text):
            return (Array(text.utf8), contentType == nil ? "text/plain; charset=utf-8" : nil)
        case .bytes(let bytes): return (bytes, contentType == nil ? "application/octet-stream" : nil)
        default: break
        }
        guard let contentType else { return (JSON.bytes(value), "application/json") }
        let type = ContentType(contentType)
        if type.isMultipartForm { return try multipart(value) }
        guard type.isForm else { return (JSON.bytes(value), nil) }
        guard value.object != nil else { throw .invalid(reason: "body: a form needs a map") }
        return (Array(FormEncoding.encode(value).utf8), nil)
    }

    /// A multipart body; the boundary is the same for each attempt, so that a retry has the same bytes.
    private func multipart(_ value: Value) throws(RequestFailure) -> (bytes: [UInt8], contentType: String?) {
        guard let object = value.object else {
            throw .invalid(reason: "body: multipart/form-data needs a map of fields and files")
        }
        do throws(Multipart.Fault) {
            let form = try Multipart.write(object, seed: RetryDelay.hash(run, stepPath, 0))
            return (form.bytes, "multipart/form-data; boundary=\(form.boundary)")
        } catch {
            throw .invalid(reason: "body: \(error.reason)")
        }
    }

    private func authorize(_ headers: inout [HTTPHeader]) throws(RequestFailure) {
        let value: String
        switch template.authorization {
        case nil: return
        case .bearer(let token):
            value = "Bearer " + (try wholeText(token, "auth.bearer", mayBeEmpty: false))
        case .basic(let username, let password):
            value = "Basic " + Base64.encode(Array((try credentials(username, password)).utf8))
        }
        try Self.refuseControls(in: value, "auth")
        headers.append(HTTPHeader("Authorization", value))
    }

    private func credentials(
        _ username: Template, _ password: Template
    ) throws(RequestFailure) -> String {
        let name = try wholeText(username, "auth.basic.username", mayBeEmpty: false)
        guard !name.utf8.contains(UInt8(ascii: ":")) else {
            throw .invalid(reason: "auth.basic.username: contains a colon, which would end it")
        }
        // An empty password in the file is intended: several services take a key as the user name alone.
        let isLeftOut = password.constant?.string?.isEmpty == true
        return name + ":"
            + (isLeftOut ? "" : try wholeText(password, "auth.basic.password", mayBeEmpty: false))
    }

    /// Adds the headers that identify the attempt; the key is the same on every attempt and after a crash
    /// (I3).
    private func identify(_ headers: inout [HTTPHeader]) throws(RequestFailure) {
        let runText = run.description
        if let own = template.idempotencyKey {
            headers.append(HTTPHeader("Idempotency-Key", try ownKey(own)))
        } else if headers["idempotency-key"] == nil {
            let key = IdempotencyKey.key(
                run: runText, path: stepPath, cryptography: surroundings.cryptography)
            headers.append(HTTPHeader("Idempotency-Key", key))
        }
        headers.append(HTTPHeader("Millrace-Run", runText))
        headers.append(HTTPHeader("Millrace-Step", stepPath))
        headers.append(HTTPHeader("Millrace-Attempt", String(attempt)))
        headers.append(HTTPHeader("traceparent", traceParent))
    }

    private func ownKey(_ template: Template) throws(RequestFailure) -> String {
        let value: Value
        do throws(KeyFault) { value = try template.key(in: scope) } catch {
            if case .failed(let failure) = error { throw .expression(failure, place: "idempotency_key") }
            throw .invalid(reason: "idempotency_key: \(error.message)")
        }
        let key = try Self.text(of: value, "idempotency_key")
        guard !key.utf8.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) else {
            throw .invalid(
                reason: "idempotency_key: it is null, empty or blank, so that one key would stand for many")
        }
        try Self.refuseControls(in: key, "idempotency_key")
        guard key.utf8.count <= IdempotencyKey.byteCountMax else {
            throw .invalid(
                reason:
                    "idempotency_key: has \(key.utf8.count) bytes, and \(IdempotencyKey.byteCountMax) are the most; "
                    + "crypto.sha256 makes a short one of it")
        }
        return key
    }

    /// The W3C trace context: one trace per run, one span per attempt.
    private var traceParent: String {
        String(unsafeUninitializedCapacity: 55) { text in
            var end = 0
            func append(_ byte: UInt8) {
                text[end] = byte
                end += 1
            }
            func append(_ number: UInt64) {
                for shift in stride(from: UInt64(60), through: 0, by: -4) {
                    let digit = UInt8(truncatingIfNeeded: number >> shift & 15)
                    append(digit < 10 ? 0x30 + digit : 0x57 + digit)
                }
            }
            for byte in "00-".utf8 { append(byte) }
            append(RetryDelay.hash(run, "trace", 0) | 1)
            append(UInt64(run.number))
            append(UInt8(ascii: "-"))
            append(RetryDelay.hash(run, stepPath, attempt) | 1)
            for byte in "-01".utf8 { append(byte) }
            return end
        }
    }

    private func checkSecrets(host: String) throws(RequestFailure) {
        // A request that uses `secrets` without naming a member may read any of them.
        let readsAny = template.secretNames.contains("*")
        for name in readsAny ? surroundings.secrets.byName.keys.sorted() : template.secretNames {
            guard let secret = surroundings.secrets.byName[name], !secret.hosts.isEmpty else { continue }
            guard secret.hosts.contains(where: { $0.lowercased() == host }) else {
                throw .secretNotForHost(secret: name)
            }
        }
    }
}

// MARK: - URL

extension RequestBuilder {
    private func url() throws(RequestFailure) -> (text: String, host: String) {
        var text = try templateURL()
        for parameter in try parameters() {
            text += text.utf8.contains(UInt8(ascii: "?")) ? "&" : "?"
            text += "\(Percent.encode(parameter.name))=\(Percent.encode(parameter.value))"
        }
        try Self.refuseControls(in: text, "url")
        let isOdd = text.withUTF8 { bytes in
            bytes.contains { $0 == 0x20 || $0 == UInt8(ascii: "\\") || $0 == UInt8(ascii: "#") }
        }
        if isOdd {
            throw .invalid(reason: "url: contains a space, a backslash or a #")
        }
        do throws(WebAddress.Problem) {
            let address = try WebAddress(text)
            return (address.text, address.host)
        } catch {
            throw .invalid(reason: "url: \(error.reason)")
        }
    }

    /// The parameters of `query`; a null is omitted, and a list repeats its name.
    private func parameters() throws(RequestFailure) -> [(name: String, value: String)] {
        switch template.query {
        case .fields(let fields):
            var parameters: [(name: String, value: String)] = []
            for field in fields {
                try Self.add(
                    try value(field.value, "query \(field.name)"), under: field.name, to: &parameters)
            }
            return parameters
        case .expression(let whole):
            let value = try value(whole, "query")
            if value.isNull || value.array?.isEmpty == true { return [] }
            guard let object = value.object else {
                throw .invalid(reason: "query: its expression gave a \(value.kindName), not a map")
            }
            var parameters: [(name: String, value: String)] = []
            for member in object.members { try Self.add(member.value, under: member.name, to: &parameters) }
            return parameters
        }
    }

    private static func add(
        _ value: Value, under name: String, to parameters: inout [(name: String, value: String)]
    ) throws(RequestFailure) {
        // An empty Lua table may be an empty list or an empty map.
        if value.object?.members.isEmpty == true { return }
        for item in value.array ?? [value] where !item.isNull {
            guard item.array == nil, item.object == nil, !item.holdsBytes else {
                throw .invalid(
                    reason:
                        "query \(name): a \(item.kindName) cannot stand here, only text, or a list of texts")
            }
            parameters.append((name, item.text))
        }
    }

    /// The URL; an expression at the start is a base address and is not encoded.
    ///
    /// A later expression is a value and is percent-encoded, so that it cannot reach another path, query or
    /// host.
    private func templateURL() throws(RequestFailure) -> String {
        guard case .text(let parts) = template.url else { return try text(template.url, "url") }
        var url = ""
        for (position, part) in parts.enumerated() {
            switch part {
            case .literal(let literal): url += literal
            case .expression(let expression):
                let value: Value
                do throws(ExpressionFailure) { value = try expression.evaluate(in: scope) } catch {
                    throw .expression(error, place: "url")
                }
                switch value {
                case .array, .object, .bytes, .null:
                    throw .invalid(
                        reason: "url: an expression in it gave a \(value.kindName), not text or a number")
                default: break
                }
                if position == 0 {
                    url += value.text
                } else if !Self.hasAuthority(url) {
                    url += try Self.authorityPart(value.text)
                } else {
                    let isInQuery = url.utf8.contains(UInt8(ascii: "?"))
                    guard isInQuery || !["", ".", ".."].contains(value.text) else {
                        throw .invalid(
                            reason: "url: an expression in it gave nothing, or dots that would leave the path"
                        )
                    }
                    url += Percent.encode(value.text)
                }
            }
        }
        return url
    }

    /// Whether the host is complete, so that the rest is path or query.
    private static func hasAuthority(_ url: String) -> Bool {
        guard let start = url.utf8.firstIndex(of: UInt8(ascii: ":")) else { return false }
        let rest = url.utf8[start...].dropFirst(3)
        return rest.contains(UInt8(ascii: "/")) || rest.contains(UInt8(ascii: "?"))
    }

    private static func authorityPart(_ text: String) throws(RequestFailure) -> String {
        guard text.utf8.allSatisfy(WebAddress.isHostByte) else {
            throw .invalid(reason: "url: an expression in the host gave what is no host name")
        }
        return text
    }
}

// MARK: - Signature

extension RequestBuilder {
    /// The name of the secret that makes all requests of a tenant signed.
    static let signingSecretName = "MILLRACE_SIGNING_SECRET"

    /// A header's value as a receiver reads it: without blanks at its ends.
    private static func withoutOuterBlanks(_ text: String) -> String {
        func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
        let bytes = text.utf8
        guard let first = bytes.firstIndex(where: { !isBlank($0) }),
            let last = bytes.lastIndex(where: { !isBlank($0) })
        else { return "" }
        return String(text[first...last])
    }

    /// Signs method, URL, body and key by RFC 9421 with hmac-sha256.
    private func sign(_ headers: inout [HTTPHeader], method: String, url: String, body: [UInt8]) {
        guard let secret = surroundings.secrets.byName[Self.signingSecretName] else { return }
        let digest = "sha-256=:\(Base64.encode(surroundings.cryptography.sha256(body))):"
        let parameters =
            "(\"@method\" \"@target-uri\" \"content-digest\" \"idempotency-key\")"
            + ";created=\(at.seconds);keyid=\"\(surroundings.tenant)\""
        // A receiver sees, and RFC 9421, 2.1, signs, the value without the blanks around it.
        let key = Self.withoutOuterBlanks(headers["idempotency-key"] ?? "")
        let base = """
            "@method": \(method)
            "@target-uri": \(url)
            "content-digest": \(digest)
            "idempotency-key": \(key)
            "@signature-params": \(parameters)
            """
        guard
            let signature = surroundings.cryptography.hmac(
                "sha256", key: Array(secret.value.utf8), data: Array(base.utf8))
        else { return }
        headers.append(HTTPHeader("Content-Digest", digest))
        headers.append(HTTPHeader("Signature-Input", "sig1=\(parameters)"))
        headers.append(HTTPHeader("Signature", "sig1=:\(Base64.encode(signature)):"))
    }
}
