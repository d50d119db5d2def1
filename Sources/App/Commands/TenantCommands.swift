import Values

/// `tenants`, for the operator.
enum TenantCommands {
    static let all = [
        Command(
            "tenants list", "list the tenants and their balances",
            options: [Times.option] + APIClient.options,
            run: list),
        Command(
            "tenants create", "create a tenant; its first key is shown only once",
            operands: [Operand("NAME")],
            options: APIClient.options, run: create),
        Command(
            "tenants keys", "list the keys of a tenant", operands: [Operand("TENANT")],
            options: [Times.option] + APIClient.options, run: keys),
        Command(
            "tenants keys create", "create a key; it is shown only once", operands: [Operand("TENANT")],
            options: [
                Option("scope", .choice(["full", "internal"]), "permissions of the key (default full)")
            ]
                + APIClient.options,
            run: createKey),
        Command(
            "tenants keys revoke", "revoke a key for good", operands: [Operand("TENANT"), Operand("KEY")],
            options: APIClient.options, run: revoke),
    ]

    @Sendable private static func list(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let items = try APIClient(invocation).list(.tenants, limit: 100_000).items
        if invocation.isJSON {
            invocation.console.print(["items": .array(items)])
            return .ok
        }
        let times = Times(invocation)
        var table = TextTable(["TENANT", "NAME", "BALANCE MS", "CUSTOMER", "CREATED"], rightAligned: [2])
        for item in items {
            let facts = ["tenant_id", "name", "balance_ms", "external_customer_id"].map {
                item[$0]?.text ?? ""
            }
            table.add(facts + [times.text(item["created_at"])])
        }
        invocation.console.print(table.text)
        return .ok
    }

    @Sendable private static func create(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let name = invocation.arguments.operands[0]
        let answer = try APIClient(invocation).call(.createTenant, json: ["name": .string(name)])
        if invocation.isJSON {
            invocation.console.print(answer.value)
        } else {
            invocation.console.print("tenant: \(answer.value["tenant_id"]?.text ?? "")")
            invocation.console.print(
                "key:    \(answer.value["key"]?["secret"]?.text ?? "")   (shown only once)")
        }
        return .ok
    }

    @Sendable private static func keys(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let items = try APIClient(invocation)
            .list(.keys, [invocation.arguments.operands[0]], limit: 10_000).items
        if invocation.isJSON {
            invocation.console.print(["items": .array(items)])
            return .ok
        }
        let times = Times(invocation)
        var table = TextTable(["KEY", "SCOPE", "CREATED", "REVOKED"])
        for item in items {
            table.add(
                ["key_id", "scope"].map { item[$0]?.text ?? "" }
                    + ["created_at", "revoked_at"].map { times.text(item[$0]) })
        }
        invocation.console.print(table.isEmpty ? "no keys" : table.text)
        return .ok
    }

    @Sendable private static func createKey(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let scope = invocation.arguments.text("scope") ?? "full"
        let answer = try APIClient(invocation).call(
            .createKey, [invocation.arguments.operands[0]], json: ["scope": .string(scope)])
        if invocation.isJSON {
            invocation.console.print(answer.value)
        } else {
            invocation.console.print("key:    \(answer.value["key_id"]?.text ?? "")")
            invocation.console.print("secret: \(answer.value["secret"]?.text ?? "")   (shown only once)")
        }
        return .ok
    }

    @Sendable private static func revoke(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let (tenant, key) = (invocation.arguments.operands[0], invocation.arguments.operands[1])
        _ = try APIClient(invocation).call(.revokeKey, [tenant, key])
        if invocation.isJSON {
            invocation.console.print(["revoked": .string(key)])
        } else {
            invocation.console.print("revoked \(key)")
        }
        return .ok
    }
}
