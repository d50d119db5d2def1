import Values

/// `GET /v1/checkout/sessions`: what is asked for, and the page that answers it.
struct StripeSessionList {
    private static let names: Set<String> = [
        "created", "customer", "ending_before", "expand", "limit", "payment_intent", "starting_after",
        "status",
    ]

    /// Whether the newest come first is fixed: pages begin behind one object or end before it.
    private let parameters: Value
    private let limit: Int

    /// - Throws: What Stripe refuses, by the parameter's name.
    init(_ query: [(name: String, value: String)]) throws(StripeProblem) {
        let text = query.map { "\(Percent.encode($0.name))=\(Percent.encode($0.value))" }
        guard let parameters = BracketForm.decode(Array(text.joined(separator: "&").utf8)) else {
            throw StripeProblem(message: "Invalid query: it could not be read.")
        }
        for member in parameters.object?.members ?? [] {
            guard Self.names.contains(member.name) else {
                throw .invalid(
                    member.name, "Received unknown parameter: \(member.name)", code: "parameter_unknown")
            }
            if member.value == "" {
                throw .invalid(
                    member.name, "You passed an empty string for '\(member.name)'; leave it out instead.",
                    code: "parameter_invalid_empty")
            }
        }
        let asked = parameters["limit"]?.string ?? "10"
        guard let limit = Int(asked), (1...100).contains(limit) else {
            throw .invalid("limit", "limit is 1 to 100", code: "parameter_invalid_integer")
        }
        if parameters["starting_after"] != nil, parameters["ending_before"] != nil {
            throw .invalid("ending_before", "Only one of starting_after and ending_before may be given.")
        }
        (self.parameters, self.limit) = (parameters, limit)
    }

    /// One page of `sessions`, which come oldest first and are listed newest first.
    func page(of sessions: [StripeSession]) throws(StripeProblem) -> Value {
        var fitting: [StripeSession] = []
        for session in sessions.reversed() where try fits(session) { fitting.append(session) }
        if let id = parameters["starting_after"]?.string {
            fitting = Array(fitting[try place(of: id, in: sessions, fitting, after: true)...])
        }
        var page = Array(fitting.prefix(limit))
        if let id = parameters["ending_before"]?.string {
            // The page that ends before that session: what is newer still comes before the page.
            fitting = Array(fitting[..<(try place(of: id, in: sessions, fitting, after: false))])
            page = Array(fitting.suffix(limit))
        }
        return [
            "object": "list", "url": "/v1/checkout/sessions", "has_more": .bool(fitting.count > page.count),
            "data": .array(page.map(\.value)),
        ]
    }

    private func fits(_ session: StripeSession) throws(StripeProblem) -> Bool {
        let value = session.value
        for name in ["customer", "payment_intent", "status"] {
            if let asked = parameters[name], asked != value[name] { return false }
        }
        guard let created = parameters["created"] else { return true }
        let at = value["created"]?.int ?? 0
        if let exact = created.string { return try seconds(exact) == at }
        for member in created.object?.members ?? [] {
            let bound = try seconds(member.value.string ?? "")
            switch member.name {
            case "gte": if at < bound { return false }
            case "gt": if at <= bound { return false }
            case "lte": if at > bound { return false }
            case "lt": if at >= bound { return false }
            default: throw .invalid("created[\(member.name)]", "Invalid hash", code: "parameter_unknown")
            }
        }
        return true
    }

    private func seconds(_ text: String) throws(StripeProblem) -> Int64 {
        guard let seconds = Int64(text) else {
            throw .invalid("created", "Invalid timestamp: \(text)", code: "parameter_invalid_integer")
        }
        return seconds
    }

    /// Where a page begins behind that session, or ends before it; one that does not fit itself counts too.
    private func place(
        of id: String, in sessions: [StripeSession], _ fitting: [StripeSession], after: Bool
    ) throws(StripeProblem) -> Int {
        guard let known = sessions.firstIndex(where: { $0.id == id }) else {
            throw .unknownObject(
                "checkout.session", id, parameter: after ? "starting_after" : "ending_before")
        }
        let newer = Set(sessions[(after ? known : known + 1)...].map(\.id))
        return fitting.prefix { newer.contains($0.id) }.count
    }
}
