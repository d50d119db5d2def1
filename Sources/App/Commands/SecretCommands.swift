import Values

/// `secrets`.
enum SecretCommands {
    static let all = [
        Command(
            "secrets list", "list the names of secrets; values are never shown",
            options: [Times.option] + APIClient.options, run: list),
        Command(
            "secrets set", "store a secret; its value is read from standard input",
            operands: [Operand("NAME")],
            options: [
                Option(
                    "host", placeholder: "HOST", isRepeated: true,
                    "a host to which it may be sent; without any, all"),
                Option("value-file", placeholder: "FILE", "read the value from this file"),
            ] + APIClient.options,
            details: """
                One line break at the end of the value is dropped.

                    printf %s "$STRIPE_KEY" | millrace secrets set STRIPE_SECRET_KEY --host api.stripe.com
                """, run: set),
        Command(
            "secrets delete", "delete a secret", operands: [Operand("NAME")], options: APIClient.options,
            run: delete),
    ]

    @Sendable private static func list(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let items = try APIClient(invocation).list(.secrets, limit: 10_000).items
        if invocation.isJSON {
            invocation.console.print(["items": .array(items)])
            return .ok
        }
        let times = Times(invocation)
        var table = TextTable(["NAME", "HOSTS", "UPDATED"])
        for item in items {
            let hosts = (item["hosts"]?.array ?? []).map(\.text).joined(separator: ", ")
            table.add([
                item["name"]?.text ?? "", hosts.isEmpty ? "any" : hosts, times.text(item["updated_at"]),
            ])
        }
        invocation.console.print(table.isEmpty ? "no secrets" : table.text)
        return .ok
    }

    @Sendable private static func set(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let name = invocation.arguments.operands[0]
        let body: Value = [
            "value": .string(try value(invocation)),
            "hosts": .array(invocation.arguments.all("host").map(Value.string)),
        ]
        _ = try APIClient(invocation).call(.setSecret, [name], json: body)
        report("set", name, invocation)
        return .ok
    }

    private static func value(_ invocation: Invocation) throws(CommandFailure) -> String {
        var bytes: [UInt8]
        if let path = invocation.arguments.text("value-file") {
            do throws(Files.Problem) { bytes = try Files.read(path) } catch {
                throw CommandFailure(
                    .usage, "file_unreadable", "the value cannot be read: \(error.reason)", place: path)
            }
        } else {
            bytes = invocation.console.readInput()
        }
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw .usage("the value is not text in UTF-8")
        }
        return text
    }

    @Sendable private static func delete(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let name = invocation.arguments.operands[0]
        _ = try APIClient(invocation).call(.deleteSecret, [name])
        report("deleted", name, invocation)
        return .ok
    }

    private static func report(_ done: String, _ name: String, _ invocation: Invocation) {
        if invocation.isJSON {
            invocation.console.print(.object(Object([.init(name: done, value: .string(name))])))
        } else {
            invocation.console.print("\(done) \(name)")
        }
    }
}
