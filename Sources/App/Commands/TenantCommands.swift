import Values

/// `tenants`, for the operator.
enum TenantCommands {
    static let all = [
        Command("tenants list", "list the tenants and their balances", options: APIClient.options, run: list),
        Command(
            "tenants create", "create a tenant; its first key is shown this once",
            operands: [Operand("NAME")],
            options: APIClient.options, run: create),
        Command(
            "tenants keys", "list the keys of a tenant", operands: [Operand("TENANT")],
            options: APIClient.options, run: keys),
        Command(
            "tenants keys create", "create a key, shown this once", operands: [Operand("TENANT")],
            options: [Option("scope", .choice(["full", "internal"]), "what it may do (default full)")]
                + APIClient.options,
            run: createKey),
        Command(
            "tenants keys revoke", "end a key for good", operands: [Operand("TENANT"), Operand("KEY")],
            options: APIClient.options, run: revoke),
    ]

    @Sendable private static func list(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let items = try APIClient(invocation).items("/api/tenants", limit: 100_000)
        if invocation.isJSON {
            invocation.console.print(["items": .array(items)])
            return .ok
        }
        var table = TextTable(["TENANT", "NAME", "BALANCE MS", "CUSTOMER", "CREATED"], rightAligned: [2])
        for item in items {
            table.add(
                ["tenant_id", "name", "balance_ms", "external_customer_id", "created_at"].map {
                    item[$0]?.text ?? ""
                })
        }
        invocation.console.print(table.text)
        return .ok
    }

    @Sendable private static func create(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let name = invocation.arguments.operands[0]
        let answer = try APIClient(invocation).call(
            "POST", "/api/tenants", body: JSON.bytes(["name": .string(name)]))
        if invocation.isJSON {
            invocation.console.print(answer.value)
        } else {
            invocation.console.print("tenant: \(answer.value["tenant_id"]?.text ?? "")")
            invocation.console.print(
                "key:    \(answer.value["key"]?["secret"]?.text ?? "")   (shown this once)")
        }
        return .ok
    }

    @Sendable private static func keys(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let items = try APIClient(invocation).items(path(invocation), limit: 10_000)
        if invocation.isJSON {
            invocation.console.print(["items": .array(items)])
            return .ok
        }
        var table = TextTable(["KEY", "SCOPE", "CREATED", "REVOKED"])
        for item in items {
            table.add(["key_id", "scope", "created_at", "revoked_at"].map { item[$0]?.text ?? "" })
        }
        invocation.console.print(table.isEmpty ? "no keys" : table.text)
        return .ok
    }

    @Sendable private static func createKey(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let scope = invocation.arguments.text("scope") ?? "full"
        let answer = try APIClient(invocation).call(
            "POST", path(invocation), body: JSON.bytes(["scope": .string(scope)]))
        if invocation.isJSON {
            invocation.console.print(answer.value)
        } else {
            invocation.console.print("key:    \(answer.value["key_id"]?.text ?? "")")
            invocation.console.print("secret: \(answer.value["secret"]?.text ?? "")   (shown this once)")
        }
        return .ok
    }

    @Sendable private static func revoke(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let key = invocation.arguments.operands[1]
        _ = try APIClient(invocation).call("DELETE", "\(path(invocation))/\(Percent.encode(key))")
        if invocation.isJSON {
            invocation.console.print(["revoked": .string(key)])
        } else {
            invocation.console.print("revoked \(key)")
        }
        return .ok
    }

    private static func path(_ invocation: Invocation) -> String {
        "/api/tenants/\(Percent.encode(invocation.arguments.operands[0]))/keys"
    }
}
