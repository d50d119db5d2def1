import Ports
import Values

/// Items of a list, and whether the server has more.
struct ItemList: Sendable {
    var items: [Value]
    var hasMore: Bool

    /// As a program reads it.
    var value: Value { ["items": .array(items), "more": .bool(hasMore)] }
}

extension APIClient {
    /// One operation.
    ///
    /// - Parameters:
    ///   - operation: A row of the table.
    ///   - parts: For the `{…}` of its path.
    ///   - query: Names of the row with their values; nil leaves one out.
    ///   - body: Sent as it is.
    ///   - headers: Beside those that every request has.
    ///   - timeout: Of the whole call.
    /// - Returns: What the server answered, below 400.
    /// - Throws: As ``call(_:_:query:body:headers:timeout:)``.
    func call(
        _ operation: Operation, _ parts: [String] = [], query: [(String, String?)] = [],
        body: [UInt8]? = nil, headers: [HTTPHeader] = [], timeout: Duration = .seconds(60)
    ) throws(CommandFailure) -> APIAnswer {
        precondition(
            query.allSatisfy { operation.query.contains($0.0) }, "a query has only names of its operation")
        return try call(
            operation.method, operation.path(with: parts), query: query, body: body, headers: headers,
            timeout: timeout)
    }

    /// One operation with a JSON body.
    func call(
        _ operation: Operation, _ parts: [String] = [], query: [(String, String?)] = [], json body: Value,
        headers: [HTTPHeader] = []
    ) throws(CommandFailure) -> APIAnswer {
        try call(operation, parts, query: query, body: JSON.bytes(body), headers: headers)
    }

    /// Items of a list over as many pages as needed, at most `limit` of them, from `cursor` on.
    func list(
        _ operation: Operation, _ parts: [String] = [], query: [(String, String?)] = [],
        after cursor: String? = nil, limit: Int
    ) throws(CommandFailure) -> ItemList {
        var found = ItemList(items: [], hasMore: false)
        var cursor = cursor
        repeat {
            let wanted = min(200, limit - found.items.count)
            let page = try call(
                operation, parts, query: query + [("limit", String(wanted)), ("cursor", cursor)])
            found.items += page.value["items"]?.array ?? []
            cursor = page.value["next"]?.string
        } while cursor != nil && found.items.count < limit
        found.hasMore = cursor != nil
        return found
    }
}
