import Ports
import Values

/// A request on its way through a stand-in.
struct StandInCall: Sendable {
    let request: InboundRequest
    /// Position among all requests of this stand-in, from 1.
    let number: Int

    var method: String { request.method }
    var segments: [String] { request.segments }
    var idempotencyKey: String? { request.headers["idempotency-key"] }

    /// Method and path as routes are written: `POST /v1/charges`.
    var route: String { "\(request.method) \(request.path)" }

    /// The address that the caller used, for links that lead back here.
    var origin: String { "http://\(request.headers["host"] ?? "127.0.0.1")" }

    /// The key of `Authorization: Bearer <key>` or of Basic with the key as user name; nil without one.
    var presentedKey: String? {
        guard let header = request.headers["authorization"] else { return nil }
        let parts = header.split(separator: " ", maxSplits: 1).map(String.init)
        guard parts.count == 2, !parts[1].isEmpty else { return nil }
        switch parts[0].lowercased() {
        case "bearer": return parts[1]
        case "basic":
            guard let decoded = Base64.decode(parts[1]) else { return nil }
            let user =
                decoded.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false).first ?? []
            return user.isEmpty ? nil : String(decoding: user, as: UTF8.self)
        default: return nil
        }
    }

    private var isForm: Bool {
        request.headers["content-type"]?.lowercased().hasPrefix("application/x-www-form-urlencoded") ?? false
    }

    /// The body as JSON or as a form of text; an empty one is an empty map, a broken one nil.
    var bodyValue: Value? {
        if request.body.isEmpty { return .object(Object()) }
        guard isForm else { return try? JSON.parse(request.body) }
        guard let pairs = FormEncoding.pairs(request.body) else { return nil }
        // Of equal names the last counts, as at the providers.
        return .object(Object(pairs.map { Object.Member(name: $0.name, value: .string($0.value)) }))
    }

    /// The body of a control, which is JSON whatever the content type says: curl sends JSON as a form.
    var controlBody: Value? {
        if request.body.isEmpty { return .object(Object()) }
        guard let value = try? JSON.parse(request.body), value.object != nil else { return nil }
        return value
    }
}

/// What a stand-in answers, and whether the answer belongs to the idempotency key from now on.
struct StandInAnswer: Sendable {
    var response: InboundResponse
    var isStored: Bool

    static func json(_ status: Int, _ value: Value, isStored: Bool = true) -> StandInAnswer {
        StandInAnswer(response: .json(status, value), isStored: isStored)
    }
}

/// Why a stand-in does not do the work; each provider says it in its own words.
enum StandInRefusal: Sendable {
    /// No key, or not the right one.
    case unauthorized(isMissing: Bool)
    case keyTooLong
    /// The same key came before with another method, path or body.
    case keyReused
    /// The first request with this key is still being worked on.
    case keyInProgress
    case rateLimited
    /// An outage before anything was done, or an answer lost after it was.
    case outage(status: Int)
    /// The provider broke while working; where keys are kept, this answer is what the key gets for ever.
    case brokeWhileWorking(status: Int)
}

extension InboundResponse {
    static func json(_ status: Int, _ value: Value, type: String = "application/json") -> InboundResponse {
        InboundResponse(status: status, headers: [HTTPHeader("Content-Type", type)], body: JSON.bytes(value))
    }

    /// A refusal of a control under `/_standin/`.
    static func controlProblem(_ status: Int, _ message: String) -> InboundResponse {
        json(status, ["error": .string(message)])
    }

    static func html(_ title: String, _ body: String) -> InboundResponse {
        let page = "<!doctype html><meta charset=utf-8><title>\(title)</title><h1>\(title)</h1>\(body)"
        return InboundResponse(
            status: 200, headers: [HTTPHeader("Content-Type", "text/html; charset=utf-8")],
            body: Array(page.utf8))
    }

    func adding(_ name: String, _ value: String) -> InboundResponse {
        var copy = self
        copy.headers.append(HTTPHeader(name, value))
        return copy
    }
}

extension String {
    /// The text with what HTML gives a meaning written as entities.
    var escapedForHTML: String {
        var out = ""
        for character in self {
            switch character {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            default: out.append(character)
            }
        }
        return out
    }
}
