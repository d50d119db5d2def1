import Values

/// What an operator does to one tenant, and sees of it: `tenants show`, `tenants suspend` and their like.
enum TenantOperationCommands {
    private static let tenant = [Operand("TENANT")]

    static let all = [
        Command(
            "tenants show", "show a tenant: balance, and whether it is suspended", operands: tenant,
            options: [Times.option] + APIClient.options, run: show),
        Command(
            "tenants suspend", "stop all starts of a tenant, and pause its runs", operands: tenant,
            options: [
                Option("reason", placeholder: "TEXT", "reason, for people; required"),
                Option(
                    "webhooks", .choice(["keep", "refuse"]),
                    "keep: each starts a run that is paused at once; refuse: 403 (default keep)"),
                Times.option,
            ] + APIClient.options,
            details: """
                Requests in flight finish; then each run pauses before its next step. Compensations continue.
                A second call changes the reason and the rule for webhooks.
                """, run: suspend),
        Command(
            "tenants resume", "resume a suspended tenant", operands: tenant,
            options: [Times.option] + APIClient.options, run: resume),
        Command(
            "tenants take-back", "take minutes from a tenant's balance, once for each reference",
            operands: tenant + [Operand("MINUTES")],
            options: [
                Option("reference", placeholder: "TEXT", "what it is for; unique for ever; required"),
                Option("reason", placeholder: "TEXT", "reason, for people; required"),
            ] + APIClient.options,
            details: """
                The balance may fall below zero: refunded minutes may already have been used.

                    millrace tenants take-back ten_5xj8mgpytr0fw 60 --reference refund:pi_1 --reason "charged back"
                """, run: takeBack),
        Command(
            "tenants export", "write all data of a tenant to a file of JSON lines",
            operands: tenant,
            options: [Option("to", placeholder: "FILE", "the file, which must not exist; required")]
                + APIClient.options,
            details: """
                Each line is an object with its `type`: tenant, key, secret (the name alone), workflow (every version),
                ledger_entry, run, and event (of a run's journal). A tenant that is suspended does not change meanwhile.
                """, run: TenantExportCommand.run),
        Command(
            "tenants erase", "delete a suspended tenant for good, except its ledger", operands: tenant,
            options: [Option("confirm", placeholder: "TENANT", "the tenant's id again"), Times.option]
                + APIClient.options,
            details: """
                Without --confirm it shows what would be lost. Open runs are cancelled, and undone as their workflows
                say; then runs, workflows, secrets and keys are deleted. Ledger entries stay, under the tenant's id.
                The same command again shows the progress.
                """, run: erase),
        Command(
            "tenants runs", "list a tenant's runs, the newest first", operands: tenant, options: paged,
            details: moreDetails, run: runs),
        Command(
            "tenants ledger", "list a tenant's ledger entries, the newest first", operands: tenant,
            options: paged, details: moreDetails, run: ledger),
        Command(
            "tenants usage", "show what a tenant used, day by day", operands: tenant,
            options: [
                Option("from", placeholder: "TIME", "from this time on (default 366 days before --to)"),
                Option("to", placeholder: "TIME", "up to this time (default now)"),
            ] + APIClient.options, run: usage),
    ]

    private static let paged =
        [
            Option("limit", .integer(1...100_000), placeholder: "COUNT", "at most this many (default 50)"),
            Times.option,
        ] + APIClient.options
    private static let moreDetails =
        "If there are more, says so on standard error; with --json, `more` is then true."

    private static func tenant(_ invocation: Invocation) -> [String] { [invocation.arguments.operands[0]] }

    private static func required(_ invocation: Invocation, _ name: String) throws(CommandFailure) -> Value {
        guard let text = invocation.arguments.text(name) else {
            throw .usage("--\(name) is missing", hint: "say it with --\(name) TEXT")
        }
        return .string(text)
    }

    // MARK: - Standing

    @Sendable private static func show(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        report(try APIClient(invocation).call(.tenant, tenant(invocation)).value, invocation)
    }

    @Sendable private static func suspend(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let body: Value = [
            "reason": try required(invocation, "reason"),
            "webhooks": .string(invocation.arguments.text("webhooks") ?? "keep"),
        ]
        let answer = try APIClient(invocation).call(.suspend, tenant(invocation), json: body)
        return report(answer.value, invocation)
    }

    @Sendable private static func resume(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        report(try APIClient(invocation).call(.resumeTenant, tenant(invocation)).value, invocation)
    }

    @Sendable private static func erase(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        var body = Object()
        body["confirm"] = invocation.arguments.text("confirm").map(Value.string)
        let answer = try APIClient(invocation).call(.erase, tenant(invocation), json: .object(body)).value
        if invocation.isJSON {
            invocation.console.print(answer)
        } else {
            let erasure = answer["erasure"]
            invocation.console.print(
                "\(erasure?["state"]?.text ?? "") since \(Times(invocation).text(erasure?["since"]))")
        }
        return .ok
    }

    private static func report(_ tenant: Value, _ invocation: Invocation) -> ExitCode {
        if invocation.isJSON {
            invocation.console.print(tenant)
            return .ok
        }
        let times = Times(invocation)
        for (title, name) in [
            ("tenant:  ", "tenant_id"), ("name:    ", "name"), ("customer:", "external_customer_id"),
            ("created: ", "created_at"), ("balance: ", "balance_ms"),
        ] {
            let value = tenant[name].flatMap { $0.isNull ? nil : $0 }
            let text = value.map { name == "created_at" ? times.text($0) : $0.text } ?? "none"
            invocation.console.print("\(title) \(text)\(name == "balance_ms" ? " ms" : "")")
        }
        var standing = "active"
        if let suspension = tenant["suspension"], !suspension.isNull {
            standing =
                "suspended since \(times.text(suspension["since"])), webhooks: "
                + "\(suspension["webhooks"]?.text ?? ""), reason: \(suspension["reason"]?.text ?? "")"
        }
        invocation.console.print("standing: \(standing)")
        return .ok
    }

    // MARK: - Minutes

    @Sendable private static func takeBack(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let text = invocation.arguments.operands[1]
        guard let minutes = Int64(text), minutes > 0 else {
            throw .usage("MINUTES must be a whole number above 0, not `\(text)`")
        }
        let body: Value = [
            "minutes": .int(minutes), "reference": try required(invocation, "reference"),
            "reason": try required(invocation, "reason"),
        ]
        let answer = try APIClient(invocation).call(.takeBack, tenant(invocation), json: body).value
        if invocation.isJSON {
            invocation.console.print(answer)
        } else {
            let again = answer["replayed"]?.bool == true ? " (had been taken back already)" : ""
            invocation.console.print(
                "took back \(answer["taken_back_ms"]?.text ?? "") ms\(again); "
                    + "the balance is \(answer["balance_ms"]?.text ?? "") ms")
        }
        return .ok
    }

    // MARK: - Looking

    @Sendable private static func runs(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        try list(
            invocation, .tenantRuns, ["RUN", "WORKFLOW", "STATUS", "STARTED", "FINISHED", "CHARGED MS"],
            ["run_id", "workflow", "status", "started_at", "finished_at", "charged_ms"], rightAligned: [5])
    }

    @Sendable private static func ledger(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        try list(
            invocation, .tenantLedger,
            ["SEQ", "AT", "KIND", "AMOUNT MS", "BALANCE MS", "REFERENCE", "REASON"],
            ["sequence", "at", "kind", "amount_ms", "balance_ms", "reference", "reason"],
            rightAligned: [0, 3, 4])
    }

    private static func list(
        _ invocation: Invocation, _ what: Operation, _ titles: [String], _ names: [String],
        rightAligned: Set<Int>
    ) throws(CommandFailure) -> ExitCode {
        let limit = Int(clamping: invocation.arguments.integer("limit") ?? 50)
        let list = try APIClient(invocation).list(what, tenant(invocation), limit: limit)
        if invocation.isJSON {
            invocation.console.print(list.value)
            return .ok
        }
        let times = Times(invocation)
        let items = list.items.map { item in
            names.reduce(item) { item, name in
                let isTime = name == "at" || name.hasSuffix("_at")
                return isTime ? item.setting(name, .string(times.text(item[name]))) : item
            }
        }
        invocation.console.print(table(of: items, titles, names, rightAligned: rightAligned))
        if list.hasMore {
            invocation.console.complain(
                "the newest \(counted(items.count, "entry", plural: "entries")); more with --limit")
        }
        return .ok
    }

    private static func table(
        of items: [Value], _ titles: [String], _ names: [String], rightAligned: Set<Int>
    ) -> String {
        var table = TextTable(titles, rightAligned: rightAligned)
        for item in items {
            table.add(names.map { name in item[name].flatMap { $0.isNull ? nil : $0.text } ?? "" })
        }
        return table.isEmpty ? "none" : table.text
    }

    @Sendable private static func usage(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let answer = try APIClient(invocation).call(
            .tenantUsage, tenant(invocation),
            query: ["from", "to"].map { ($0, invocation.arguments.text($0)) }
        ).value
        if invocation.isJSON {
            invocation.console.print(answer)
            return .ok
        }
        let names = ["day", "used_ms", "credited_ms", "taken_back_ms"]
        invocation.console.print(
            table(
                of: answer["days"]?.array ?? [], ["DAY", "USED MS", "CREDITED MS", "TAKEN BACK MS"], names,
                rightAligned: [1, 2, 3]))
        return .ok
    }
}
