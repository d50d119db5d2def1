import Billing
import OpenSSLCrypto
import SQLiteStore
import Storage
import Values

/// `balance`, `ledger`, `ledger verify` and `buy`.
enum BillingCommands {
    static let all = [
        Command("balance", "show the balance", options: APIClient.options, run: balance),
        Command(
            "ledger", "list ledger entries, the newest first",
            options: [
                Option(
                    "limit", .integer(1...100_000), placeholder: "COUNT", "at most this many (default 50)"),
                Times.option,
            ]
                + APIClient.options, run: ledger),
        Command(
            "ledger verify", "check every ledger: chain, sums, and the charges in the journals",
            options: [
                Option(
                    "database", placeholder: "FILE",
                    "read this database file, without a server, changing nothing")
            ]
                + APIClient.options,
            details:
                "Without --database the server does it, with an operator's key. Exits with 1 if anything disagrees.",
            run: verify),
        Command(
            "buy", "buy minutes: prints the address of the checkout", operands: [Operand("MINUTES")],
            options: [
                Option(
                    "success-url", placeholder: "URL",
                    "page for the buyer after paying; without it a page of the server"),
                Option(
                    "cancel-url", placeholder: "URL",
                    "page for the buyer after giving up; without it a page of the server"),
            ] + APIClient.options, run: buy),
    ]

    @Sendable private static func balance(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let answer = try APIClient(invocation).call(.balance)
        if invocation.isJSON {
            invocation.console.print(answer.value)
        } else if answer.value["is_metered"]?.bool == false {
            invocation.console.print("\(answer.value["tenant_id"]?.text ?? ""): not metered")
        } else {
            let milliseconds = answer.value["balance_ms"]?.int ?? 0
            invocation.console.print("\(milliseconds) ms (\(minutes(milliseconds)))")
        }
        return .ok
    }

    /// `12 min 3.500 s`.
    private static func minutes(_ milliseconds: Int64) -> String {
        let magnitude = milliseconds.magnitude
        let thousandths = String(magnitude % 1000)
        let fraction = String(repeating: "0", count: 3 - thousandths.count) + thousandths
        return
            "\(milliseconds < 0 ? "-" : "")\(magnitude / 60_000) min \(magnitude % 60_000 / 1000).\(fraction) s"
    }

    @Sendable private static func ledger(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let limit = Int(clamping: invocation.arguments.integer("limit") ?? 50)
        let list = try APIClient(invocation).list(.ledger, limit: limit)
        if invocation.isJSON {
            invocation.console.print(list.value)
            return .ok
        }
        let times = Times(invocation)
        var table = TextTable(
            ["SEQ", "AT", "KIND", "AMOUNT MS", "BALANCE MS", "FOR"], rightAligned: [0, 3, 4])
        for item in list.items {
            let cause = [item["reference"], item["run_id"]].compactMap(\.self).first { !$0.isNull }
            var cells = ["sequence", "at", "kind", "amount_ms", "balance_ms"].map { item[$0]?.text ?? "" }
            cells[1] = times.text(item["at"])
            table.add(cells + [cause?.text ?? "several runs"])
        }
        invocation.console.print(table.isEmpty ? "no entries" : table.text)
        if list.hasMore {
            invocation.console.complain(
                "the newest \(counted(list.items.count, "entry", plural: "entries")); more with --limit")
        }
        return .ok
    }

    // MARK: - Verifying

    @Sendable private static func verify(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let value: Value
        if let path = invocation.arguments.text("database") {
            value = try verification(ofFile: path)
        } else {
            value = try APIClient(invocation).call(.verification, timeout: .seconds(600))
                .value
        }
        let findings = value["findings"]?.array ?? []
        if invocation.isJSON {
            invocation.console.print(value)
        } else {
            for finding in findings {
                invocation.console.print(
                    "\(finding["tenant_id"]?.text ?? "") entry \(finding["sequence"]?.text ?? ""): \(finding["reason"]?.text ?? "")"
                )
            }
            invocation.console.print(
                "\(counted(Int(value["tenants"]?.int ?? 0), "ledger")), "
                    + "\(counted(Int(value["entries"]?.int ?? 0), "entry", plural: "entries")), "
                    + "\(value["credited_ms"]?.text ?? "0") ms credited, \(takenBack(value))"
                    + "\(value["used_ms"]?.text ?? "0") ms used: "
                    + (findings.isEmpty
                        ? "all agree" : "\(counted(findings.count, "finding")): they do not agree"))
        }
        return findings.isEmpty ? .ok : .notOK
    }

    private static func takenBack(_ value: Value) -> String {
        let milliseconds = value["taken_back_ms"]?.int ?? 0
        return milliseconds == 0 ? "" : "\(milliseconds) ms taken back, "
    }

    static func verification(ofFile path: String) throws(CommandFailure) -> Value {
        guard Files.exists(path) else {
            throw CommandFailure(.usage, "no_database", "there is no such database file", place: path)
        }
        let cryptography = OpenSSLCryptography()
        do throws(StoreError) {
            let store = try SQLiteStore.openForReading(path: path) { cryptography.sha256($0) }
            defer { store.close() }
            return value(of: try store.verifyLedgers())
        } catch {
            throw CommandFailure(.notOK, "database_unreadable", StoreText.sentence(error), place: path)
        }
    }

    /// As `GET /api/ledger/verification` answers.
    static func value(of verification: LedgerVerification) -> Value {
        [
            "tenants": .int(Int64(verification.tenantCount)), "entries": .int(Int64(verification.entryCount)),
            "credited_ms": .int(verification.creditedMilliseconds),
            "used_ms": .int(verification.usedMilliseconds),
            "taken_back_ms": .int(verification.takenBackMilliseconds),
            "findings": .array(
                verification.findings.map {
                    [
                        "tenant_id": .string("\($0.tenant)"), "sequence": .int($0.sequence),
                        "reason": .string($0.reason),
                    ]
                }),
        ]
    }

    // MARK: - Buying

    @Sendable private static func buy(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        guard let minutes = Int64(invocation.arguments.operands[0]), minutes > 0 else {
            throw .usage("MINUTES must be a whole number above 0, not `\(invocation.arguments.operands[0])`")
        }
        var body = Object()
        body["minutes"] = .int(minutes)
        body["success_url"] = invocation.arguments.text("success-url").map(Value.string)
        body["cancel_url"] = invocation.arguments.text("cancel-url").map(Value.string)
        let answer = try APIClient(invocation).call(.purchase, json: .object(body))
        if invocation.isJSON {
            invocation.console.print(answer.value)
        } else {
            invocation.console.print(answer.value["checkout_url"]?.text ?? "")
        }
        return .ok
    }
}
