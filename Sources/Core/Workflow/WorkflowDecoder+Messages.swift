import Values

/// Steps that send messages to other runs or to the caller.
extension WorkflowDecoder {
    mutating func signal(_ node: Node) -> SignalTemplate? {
        let known = ["run", "name", "body"]
        guard let fields = fields(of: node, as: "a signal", known: known) else { return nil }
        let run = required("run", in: fields, at: node).map { scalarTemplate($0, as: "run") }
        var name: Template?
        if let node = required("name", in: fields, at: node) {
            let template = scalarTemplate(node, as: "the name of a signal")
            if let constant = template.constant, node.text != nil, !constant.isNull {
                _ = checkSignalName(constant.text, at: node.mark)
            }
            name = template
        }
        let body = fields["body"].map { template($0) }
        guard let run, let name else { return nil }
        return SignalTemplate(run: run, name: name, body: body)
    }

    /// Decodes a reply, and warns if no trigger holds its request.
    mutating func reply(_ kind: Node.Member) -> ReplyTemplate? {
        if !holdsCallers {
            note(
                .replyToNobody, at: kind.nameMark,
                "no trigger has `reply: result`, so no request waits for it",
                hint: "add `reply: result` to the http or webhook trigger")
        }
        let known = ["status", "headers", "body"]
        guard let fields = fields(of: kind.value, as: "a reply", known: known) else { return nil }
        var reply = ReplyTemplate()
        if let status = fields["status"].flatMap({ wholeNumber($0, as: "status", in: 200...599) }) {
            reply.status = status
        }
        reply.headers = fields["headers"].map { headers($0, of: .reply) } ?? []
        reply.body = fields["body"].map { template($0) }
        return reply
    }
}
