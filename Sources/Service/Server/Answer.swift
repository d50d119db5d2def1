import Ports
import Storage
import Values

/// Builds the answers of `docs/api.md`.
enum Answer {
    static func json(_ status: Int, _ value: Value, headers: [HTTPHeader] = []) -> InboundResponse {
        InboundResponse(
            status: status, headers: [HTTPHeader("Content-Type", "application/json")] + headers,
            body: JSON.bytes(value))
    }

    static let noContent = InboundResponse(status: 204)

    /// - Parameters:
    ///   - status: 4xx or 5xx.
    ///   - code: Stable, from `docs/api.md`.
    ///   - message: What is wrong and what to do.
    ///   - details: Facts for programs.
    ///   - headers: Beside the content type.
    /// - Returns: The answer, as JSON.
    static func error(
        _ status: Int, _ code: String, _ message: String, details: Value = .null, headers: [HTTPHeader] = []
    ) -> InboundResponse {
        json(
            status,
            ["error": ["code": .string(code), "message": .string(message), "details": details]],
            headers: headers)
    }

    static func list(_ items: [Value], next: String?) -> InboundResponse {
        json(200, ["items": .array(items), "next": next.map { .string($0) } ?? .null])
    }

    /// A page of `found`, in which one item more than `limit` says that another page follows.
    ///
    /// - Parameters:
    ///   - found: Up to `limit` + 1 items.
    ///   - limit: Items of a page.
    ///   - next: The cursor behind an item.
    ///   - value: An item as the list shows it.
    /// - Returns: The list, with `next` null on the last page.
    /// - Throws: What `value` throws.
    static func page<Item, Failure: Error>(
        _ found: [Item], limit: Int, next: (Item) -> String, value: (Item) throws(Failure) -> Value
    ) throws(Failure) -> InboundResponse {
        let page = found.prefix(limit)
        var items: [Value] = []
        for item in page { items.append(try value(item)) }
        return list(items, next: found.count > limit ? page.last.map(next) : nil)
    }

    static let notFound = error(404, "not_found", "there is nothing at this address")

    static func methodNotAllowed(_ allowed: String) -> InboundResponse {
        error(405, "method_not_allowed", "use \(allowed) here", headers: [HTTPHeader("Allow", allowed)])
    }

    static let unavailable = error(
        503, "unavailable", "too much at once, or the server is stopping: try again in a moment",
        headers: [HTTPHeader("Retry-After", "1")])

    static let suspended = error(
        403, "tenant_suspended", "the operator has suspended this tenant: nothing starts until it is resumed")

    static let tooManyRuns = error(
        429, "too_many_runs",
        "this tenant has as many runs open as one may: try again once some have ended, or cancel some",
        headers: [HTTPHeader("Retry-After", "5")])

    static func store(_ failure: StoreError) -> InboundResponse {
        switch failure {
        case .full:
            error(
                503, "storage_full",
                "the server has no room left on its disk: nothing was stored, try again later",
                headers: [HTTPHeader("Retry-After", "10")])
        case .exists(let what): error(409, "exists", "it exists already: \(what)")
        case .missing(let what): error(404, "not_found", "it does not exist: \(what)")
        case .outOfRange(let what): error(422, "out_of_range", "more than can be stored: \(what)")
        case .fenced, .failed, .closed:
            error(
                503, "unavailable",
                "the server cannot store anything just now: nothing was stored, try again",
                headers: [HTTPHeader("Retry-After", "5")])
        }
    }
}

/// A request that gets an error answer instead; thrown inside handlers, turned into the answer once.
struct Refusal: Error {
    let response: InboundResponse

    init(_ status: Int, _ code: String, _ message: String, details: Value = .null) {
        response = Answer.error(status, code, message, details: details)
    }

    init(_ response: InboundResponse) { self.response = response }
}
