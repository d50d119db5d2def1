import Foundation
import Processes
import Testing
import Values

@testable import Commands

@Suite("Every command of the command line")
struct CommandWalkTests {
    /// Commands that serve until they are told to stop, with the test that drives each.
    private static let drivenElsewhere = [
        "serve": "ServerFixture and SettingsTests", "demo": "DemoTests",
    ]
    /// Options that end by being interrupted, with the test that drives each.
    private static let optionsDrivenElsewhere = ["test --watch": "WatchTests"]

    private static let flow = """
        name: flow
        version: 1
        description: Says what it is told.
        triggers: [{type: http}, {type: webhook, when: "trigger.body.ok == true"}, {type: schedule, cron: "0 9 * * *"}]
        vars: {greeting: hello, list: [1]}
        steps:
          - {id: ask, wait: {signal: answer, timeout: 1h}}
          - id: send
            request: {method: POST, url: ORDERS/effects, body: {item: << vars.greeting >>}}
        output: << steps.send.response.status >>
        """
    private static let failing = """
        name: failing
        version: 1
        triggers: [{type: http}]
        steps:
          - {id: skipped, when: trigger.body.n == 1, lua: return 1}
          - {id: charge, request: {method: POST, url: "ORDERS/nowhere/<< trigger.body.n >>", body: {n: 1}}}
        """
    private static let direct = """
        name: direct
        version: 1
        triggers: [{type: http, reply: result}]
        steps: [{id: check, when: trigger.body.ok != true, fail: "not << trigger.body.n >>"}]
        output: fine
        """

    @Test("does what its help says, with each of its options, against a real server")
    func everyCommandIsDriven() throws {
        let walk = try CommandWalk()
        let tenant = try walk.fixture.makeTenant()
        try driveLocal(walk)
        try driveTenants(walk, tenant.id)
        try driveTenantOperations(walk, tenant.id)
        try driveSecrets(walk, tenant.key)
        let flow = try driveDeploying(walk, tenant.key)
        try driveRuns(walk, tenant.key, flow)
        try driveMoney(walk, tenant.key)
        try drivePurchase(walk, tenant.key)
        try driveKeeping(walk)
        expectAll(walk.driven)
    }

    private func expectAll(_ driven: Set<String>) {
        let client = Set(SettingTable.client.map(\.name) + ["config"])
        for command in Program.commands where !command.isHidden {
            guard Self.drivenElsewhere[command.name] == nil else { continue }
            #expect(driven.contains(command.name), "`millrace \(command.name)` is not driven by any test")
            for option in command.options + Command.commonOptions where option.name != "help" {
                let name = "\(command.name) --\(option.name)"
                guard Self.optionsDrivenElsewhere[name] == nil else { continue }
                // Read in one place for all commands.
                let isDriven =
                    client.contains(option.name)
                    ? driven.contains { $0.hasSuffix(" --\(option.name)") } : driven.contains(name)
                #expect(isDriven, "`millrace \(name)` is not driven by any test")
            }
        }
    }

    // MARK: - Without a server

    private func driveLocal(_ walk: CommandWalk) throws {
        let folder = walk.folder.path
        try walk.look(["version"], says: "millrace ")
        try walk.look(["help", "secrets"], says: "secrets set")
        for shell in ["bash", "zsh", "fish"] { try walk.look(["completions", shell], says: "secrets set") }
        try walk.look(["completions", "bahs"], expecting: 2)
        let made = [
            "--data", "\(folder)/made", "--database", "\(folder)/made/own.db", "--master-key-file",
            "\(folder)/own.key", "--config", "/dev/null", "--json",
        ]
        try walk.drive(["init"] + made)
        try walk.drive(["init"] + made, expecting: 2, says: "exists")
        let file = try walk.folder.write("local.yaml", Self.direct)
        try walk.look(["validate", file], says: "1 file, 0 errors, 0 warnings")
        let test = try walk.folder.write(
            "local.test.yaml",
            """
            workflow: local.yaml
            defaults: {trigger: {body: {ok: true}}}
            cases: [{name: goes well, expect: {outcome: succeeded, output: fine}}]
            """)
        try walk.look(["test", test, "--filter", "well", "--coverage", "--junit", "\(folder)/junit.xml"])
        #expect(Files.exists("\(folder)/junit.xml"))
        try walk.look(["simulate", file, "--data", #"{"ok": true}"#], says: "succeeded")
        try walk.look(["simulate", file, "--answers", test, "--case", "well"], says: "succeeded")
        try walk.look(["simulate", file], expecting: 1, says: "failed")
        try driveStandIns(walk)
    }

    /// They serve until they are told to stop, so the program itself is started.
    private func driveStandIns(_ walk: CommandWalk) throws {
        try walk.note(["stand-ins", "--port", "0", "--json"])
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let child = try ChildProcess.start(
            [Repository.program, "stand-ins", "--port", "0", "--json"], output: ends[1])
        close(ends[1])
        let line = try FileHandle(fileDescriptor: ends[0]).readLine()
        let addresses = try JSON.parse(try #require(line))
        let stripe = try #require(addresses["stripe_url"]?.string)
        let port = try #require(Int(stripe.split(separator: ":").last ?? ""))
        #expect(Set(addresses.object?.members.map(\.value.text) ?? []).count == 5)
        // Taken, by the first of five and by the last.
        for first in [port, port - 4] {
            let run = CommandLineRun(["stand-ins", "--port", "\(first)"])
            #expect(run.code == 70 && run.error.contains("another `millrace stand-ins`"), "\(run.error)")
            #expect(run.error.contains(" port \(port) ") || first != port, "\(run.error)")
        }
        child.terminate()
        #expect(child.wait() == 0)
        close(ends[0])
    }

    // MARK: - The operator's

    private func driveKeeping(_ walk: CommandWalk) throws {
        let (folder, data) = (walk.folder.path, "\(walk.fixture.folder.path)/data")
        try walk.drive(["backup", "\(folder)/one.db", "--data", data], says: "backed up")
        try walk.drive(["backup", "\(folder)/two.db", "--database", walk.fixture.database, "--json"])
        let masterKey = ["--master-key-file", "\(data)/master.key"]
        try walk.drive(["restore", "\(folder)/one.db", "--data", "\(folder)/back", "--json"] + masterKey)
        let other = ["--to", "\(folder)/other.db", "--accept-findings", "--database", "\(folder)/x.db"]
        try walk.drive(["restore", "\(folder)/two.db"] + other + masterKey, says: "restored")
        let operatorKey = walk.fixture.operatorKey
        try walk.drive(["keys", "create", "--scope", "internal"], key: operatorKey, says: "secret:")
        let key = ["--offline", "--data", data, "--database", walk.fixture.database] + masterKey
        let refused = try walk.drive(["keys", "create"] + key, expecting: 1)
        #expect(refused.output.isEmpty, "a server runs on the file")
        #expect(walk.fixture.stop() == 0)
        try walk.drive(["keys", "create", "--json"] + key)
        let place = ["--data", data, "--database", walk.fixture.database] + masterKey
        try walk.drive(["master-key", "rotate"] + place, says: "under a new master key")
        try walk.drive(["master-key", "rotate", "--new-key-file", "\(folder)/new.key", "--json"] + place)
    }

    private func driveTenants(_ walk: CommandWalk, _ tenant: String) throws {
        let key = walk.fixture.operatorKey
        try walk.look(["tenants", "list", "--utc"], key: key, says: "Acme")
        try walk.drive(["tenants", "create", "Second"], key: key, says: "shown only once")
        try walk.drive(["tenants", "create", "Third", "--json"], key: key)
        let more = try walk.drive(
            ["tenants", "keys", "create", tenant, "--scope", "full", "--json"], key: key)
        let id = try #require(more.value["key_id"]?.string)
        try walk.look(["tenants", "keys", tenant, "--utc"], key: key, says: id)
        try walk.drive(["tenants", "keys", "revoke", tenant, id, "--json"], key: key)
        try walk.look(["tenants", "keys", tenant], key: key, says: "REVOKED")
        try walk.look(["tenants", "keys", "ten_0000000000000"], key: key, expecting: 3, says: "tenants list")
        // A key by file, and the address by a file of settings.
        let file = try walk.folder.write("key", key + "\n")
        let config = try walk.folder.write("config", "server = \(try walk.fixture.client(key: key).server)\n")
        try walk.drive(["tenants", "list", "--key-file", file, "--config", config], says: "Acme")
    }

    private func driveTenantOperations(_ walk: CommandWalk, _ tenant: String) throws {
        let key = walk.fixture.operatorKey
        let shown = try walk.look(["tenants", "show", tenant, "--utc"], key: key, says: "active")
        #expect(shown.output.contains(" UTC"), "\(shown.output)")
        try walk.drive(
            ["tenants", "suspend", tenant, "--reason", "unpaid", "--webhooks", "refuse", "--utc", "--json"],
            key: key)
        try walk.drive(["tenants", "suspend", tenant], key: key, expecting: 2, says: "--reason")
        try walk.look(["tenants", "show", tenant], key: key, says: "unpaid")
        try walk.drive(["tenants", "resume", tenant, "--utc", "--json"], key: key)
        let takeBack = [
            "tenants", "take-back", tenant, "1", "--reference", "r:1", "--reason", "charged back",
        ]
        try walk.drive(takeBack, key: key, says: "took back 60000 ms")
        try walk.drive(takeBack + ["--json"], key: key)
        try walk.look(["tenants", "runs", tenant, "--limit", "5", "--utc"], key: key)
        try walk.look(["tenants", "ledger", tenant, "--limit", "5", "--utc"], key: key, says: "r:1")
        let first = try walk.look(["tenants", "ledger", tenant, "--limit", "1"], key: key)
        #expect(first.error.contains("the newest 1 entry; more with --limit"), "\(first.error)")
        let period = ["--from", "2026-01-01T00:00:00Z", "--to", "2026-02-01T00:00:00Z"]
        try walk.look(["tenants", "usage", tenant] + period, key: key)
        try driveLeaving(walk, tenant)
    }

    private func driveLeaving(_ walk: CommandWalk, _ tenant: String) throws {
        let key = walk.fixture.operatorKey
        let file = "\(walk.folder.path)/export.jsonl"
        try walk.drive(["tenants", "export", tenant, "--to", file], key: key, says: "lines to")
        try walk.drive(["tenants", "export", tenant, "--to", file, "--json"], key: key, expecting: 2)
        try walk.drive(["tenants", "export", tenant], key: key, expecting: 2, says: "--to")
        // One that is not suspended is not erased, and an unknown one cannot be.
        try walk.drive(
            ["tenants", "erase", tenant, "--confirm", tenant], key: key, expecting: 3, says: "suspend")
        let made = try walk.drive(["tenants", "create", "Leaving", "--json"], key: key)
        let leaving = try #require(made.value["tenant_id"]?.string)
        try walk.drive(["tenants", "suspend", leaving, "--reason", "leaves"], key: key)
        try walk.drive(["tenants", "erase", leaving], key: key, expecting: 3, says: "confirm")
        try walk.drive(
            ["tenants", "erase", leaving, "--confirm", leaving, "--utc", "--json"], key: key)
    }

    // MARK: - Secrets

    private func driveSecrets(_ walk: CommandWalk, _ key: String) throws {
        try walk.look(["secrets", "list"], key: key, says: "no secrets")
        try walk.drive(
            ["secrets", "set", "PAY_KEY", "--host", "pay.example", "--json"], key: key, input: "sk_test_1\n")
        let value = try walk.folder.write("value", "sk_test_2\n")
        try walk.drive(["secrets", "set", "MAIL_KEY", "--value-file", value], key: key, says: "set MAIL_KEY")
        let list = try walk.look(["secrets", "list", "--utc"], key: key, says: "pay.example")
        #expect(list.output.contains("MAIL_KEY") && list.output.contains(" UTC"))
        try walk.drive(["secrets", "delete", "MAIL_KEY", "--json"], key: key)
        try walk.drive(["secrets", "delete", "MAIL_KEY"], key: key, expecting: 3, says: "secrets list")
    }

    // MARK: - Workflows

    private func source(_ text: String, _ walk: CommandWalk) -> String {
        text.replacing("ORDERS", with: walk.fixture.ordersURL)
    }

    /// Returns the file of `flow`.
    private func driveDeploying(_ walk: CommandWalk, _ key: String) throws -> String {
        let file = try walk.folder.write("flow.yaml", source(Self.flow, walk))
        let first = try walk.drive(["deploy", file, "--if-digest", "none", "--json"], key: key)
        let digest = try #require(first.value["deployed"]?[0]?["digest"]?.string)
        try walk.drive(
            ["deploy", file, "--if-digest", "none"], key: key, expecting: 3, says: "workflows diff")
        let vars = try walk.folder.write("vars.yaml", "greeting: good day\nlist: [1, 2]\n")
        let second = try walk.drive(
            ["deploy", file, "--vars-file", vars, "--var", "greeting=hi", "--if-digest", digest], key: key,
            says: "deployed flow number 2")
        #expect(second.output.contains("  webhook: http"), "\(second.output)")
        try walk.look(["workflows", "--utc"], key: key, says: "Says what it is told.")
        let shown = try walk.look(["workflows", "flow"], key: key, says: "webhook:")
        for text in ["0 9 * * *", digest, "live"] { #expect(shown.output.contains(text), "\(shown.output)") }
        try walk.look(["workflows", "flwo"], key: key, expecting: 3, says: "did you mean `flow`?")
        try walk.look(
            ["workflows", "versions", "flow", "--limit", "1", "--utc"], key: key, says: "with --limit")
        let diff = try walk.look(
            ["workflows", "diff", "flow", "1", "2"], key: key, expecting: 1, says: "--- flow 1")
        #expect(diff.output.contains("+    \"greeting\": \"hi\""), "\(diff.output)")
        try walk.look(["workflows", "diff", "flow", "1", file], key: key, says: "are the same")
        try walk.look(
            ["workflows", "diff", "flow", "9"], key: key, expecting: 3, says: "versions are 1 to 2")
        try walk.drive(
            ["workflows", "rollback", "flow", "--to", "1", "--if-digest", digest, "--json"], key: key,
            expecting: 3)
        try walk.drive(["workflows", "rollback", "flow", "--to", "1"], key: key, says: "as number 3")
        try walk.drive(["workflows", "rollback", "flow"], key: key, expecting: 2, says: "--to NUMBER")
        try walk.drive(["workflows", "delete", "flow", "--if-digest", digest, "--json"], key: key)
        try walk.drive(["workflows", "delete", "flow"], key: key, expecting: 3, says: "there is no workflow")
        try walk.drive(["workflows", "rollback", "flow", "--to", "3"], key: key, says: "back in service")
        return file
    }

    // MARK: - Runs

    private func driveRuns(_ walk: CommandWalk, _ key: String, _ flow: String) throws {
        let target = ["--idempotency-key", "t-1"]
        let run = try walk.drive(["trigger", "flow", "{}"] + target, key: key).output.trimmed
        try walk.drive(["trigger", "flow", "--data", "{}", "--json"] + target, key: key, says: run)
        try walk.look(["explain", run, "--utc"], key: key, says: "signal answer")
        try walk.drive(["pause", run, "--reason", "lunch", "--json"], key: key)
        try walk.look(["explain", run], key: key, says: "lunch")
        try walk.drive(["resume", run, "--json"], key: key)
        try walk.drive(
            ["signal", run, "answer", "--data", #"{"n": 1}"#, "--idempotency-key", "s-1", "--json"], key: key)
        let followed = try walk.drive(["run", run, "--follow", "--json"], key: key)
        let lines = followed.output.split(separator: "\n").compactMap { try? JSON.parse(String($0)) }
        #expect(lines.first?["kind"] == "run.started" && lines.last?["status"] == "succeeded")
        try walk.drive(["run", run, "--follow", "--utc"], key: key, says: "run.finished")
        let shown = try walk.look(["run", run, "--sent", "--events"], key: key, says: "run.finished")
        for text in ["input:", "output:", "took:", "> Idempotency-Key: \(run)/send", "POST", "< 200"] {
            #expect(shown.output.contains(text), "\(text): \(shown.output)")
        }
        try walk.look(["run", run, "--step", "send"], key: key, says: "/effects")
        try walk.look(["run", run, "--step", "sned"], key: key, expecting: 2, says: "did you mean `send`?")
        try walk.look(["explain", run], key: key, says: "nothing is wrong")
        try walk.drive(["test", "--record", run, "--json"], key: key)
        try driveOrders(walk, key, run)
        try driveFailures(walk, key)
        try driveLists(walk, key)
    }

    private func driveOrders(_ walk: CommandWalk, _ key: String, _ run: String) throws {
        let fork = ["fork", run, "--from", "send", "--version", "same", "--input", "{}"]
        let forked = try walk.drive(
            fork + ["--idempotency-key", "f-1", "--wait", "--utc"], key: key, says: "fork of \(run)")
        #expect(forked.output.contains("succeeded"))
        try walk.drive(fork + ["--idempotency-key", "f-1", "--json"], key: key)
        let open = try walk.drive(["trigger", "flow"], key: key).output.trimmed
        try walk.drive(
            ["run", open, "--cancel", "--reason", "no more"], key: key, says: open)
        let retry = ["retry", open, "--idempotency-key", "r-1"]
        let retried = try walk.drive(retry + ["--json"], key: key)
        let second = try #require(retried.value["run_id"]?.string)
        try walk.drive(["signal", second, "answer"], key: key, says: "answer is kept")
        try walk.drive(retry + ["--wait", "--utc"], key: key, says: "retry of \(open)")
    }

    private func driveFailures(_ walk: CommandWalk, _ key: String) throws {
        let failing = try walk.folder.write("failing.yaml", source(Self.failing, walk))
        let direct = try walk.folder.write("direct.yaml", Self.direct)
        try walk.drive(["deploy", failing, direct], key: key)
        try walk.drive(["trigger", "direct", #"{"ok": true}"#], key: key, says: #"succeeded "fine""#)
        let refused = try walk.drive(
            ["trigger", "direct", #"{"n": 7}"#], key: key, expecting: 1, says: "fail in step check: not 7")
        #expect(refused.output.contains("millrace explain run_"))
        let run = try walk.drive(
            ["trigger", "failing", #"{"n": 2}"#, "--wait", "--utc"], key: key, expecting: 1,
            says: "status in step charge")
        let id = try #require(run.output.firstMatch(of: #/run_[0-9a-z]+/#)).output
        let explained = try walk.look(["explain", String(id)], key: key, says: "status in step charge")
        for text in [
            "> POST \(walk.fixture.ordersURL)/nowhere/2", "> Idempotency-Key: \(id)/charge", "< 401",
            "skipped skipped: when trigger.body.n == 1 (trigger.body.n is 2)", "millrace retry \(id)",
            "millrace fork \(id) --from charge",
        ] { #expect(explained.output.contains(text), "\(text): \(explained.output)") }
    }

    private func driveLists(_ walk: CommandWalk, _ key: String) throws {
        let few = try walk.look(["runs", "--limit", "2", "--utc"], key: key, says: "the newest 2 runs; more")
        #expect(few.output.split(separator: "\n").count == 3)
        try walk.look(["runs", "--failed", "--from", "10m"], key: key, says: "failing")
        try walk.look(["runs", "--workflow", "flow", "--status", "cancelled"], key: key, says: "cancelled")
        try walk.look(["runs", "--to", "1h"], key: key, says: "no runs")
        try walk.drive(["runs", "--from", "yesterday"], key: key, expecting: 2, says: "10m, 2h, 7d")
        try walk.drive(["runs", "--failed", "--status", "failed"], key: key, expecting: 2)
    }

    // MARK: - Money

    private func driveMoney(_ walk: CommandWalk, _ key: String) throws {
        try walk.look(["balance"], key: key, says: " ms (")
        try walk.look(["ledger", "--limit", "1", "--utc"], key: key, says: "BALANCE MS")
        try walk.look(["ledger", "verify"], key: walk.fixture.operatorKey, says: "all agree")
        try walk.look(["ledger", "verify", "--database", walk.fixture.database], says: "all agree")
        try walk.look(["ledger", "verify"], key: key, expecting: 3, says: "operator's key")
    }

    private func drivePurchase(_ walk: CommandWalk, _ key: String) throws {
        let urls = ["--success-url", "https://shop.example/ok", "--cancel-url", "https://shop.example/no"]
        try walk.drive(["buy", "50"] + urls, key: key, expecting: 5, says: "no workflow listens")
        let listener = try walk.folder.write(
            "sell.yaml",
            """
            name: sell
            version: 1
            triggers: [{type: hook, event: on_purchase_requested}]
            steps: [{finish: {checkout_url: << trigger.body.success_url >>}}]
            """)
        try walk.drive(["deploy", listener], key: walk.fixture.operatorKey)
        try walk.drive(["buy", "50"] + urls, key: key, says: "https://shop.example/ok")
        try walk.drive(["buy", "50", "--json"], key: key, says: "/billing/pur_")
    }
}

@Suite("What the documents show of the command line")
struct DocumentedCommandTests {
    /// Command lines of every page and of every help text, without what a shell does with them.
    private static func shown() throws -> [(place: String, words: [String])] {
        var texts = Program.commands.map { ($0.name, $0.details) }
        let folders = ["", "docs", "docs/guides", "workflows", "examples"]
        for folder in folders {
            let path = Repository.folder.appending(path: folder).path()
            for name in (try? Files.names(in: path)) ?? [] where name.hasSuffix(".md") {
                let file = folder.isEmpty ? name : "\(folder)/\(name)"
                texts.append((file, try Repository.text(file)))
            }
        }
        return texts.flatMap { place, text in
            text.replacing("\\\n", with: " ").split(separator: "\n").compactMap { line in
                line.firstMatch(of: #/^\s*(?:\$ |> |.*\| )?millrace ([a-z].*)$/#).map {
                    (place, ShellWords.split(String($0.1)))
                }
            }
        }
    }

    @Test("every command line is understood, with its options and operands")
    func everyShownCommandIsUnderstood() throws {
        let parser = ArgumentParser(commands: Program.commands)
        let shown = try Self.shown()
        #expect(shown.count > 40)
        for (place, words) in shown where words.first != "runs" || words.dropFirst().first != "YAML" {
            #expect(throws: Never.self, "\(place): millrace \(words.joined(separator: " "))") {
                let (command, count) = try parser.command(in: words)
                _ = try parser.parse(Array(words.dropFirst(count)), for: command)
            }
        }
    }
}

/// Words as a shell splits them, up to what it does with the command.
enum ShellWords {
    static func split(_ line: String) -> [String] {
        var words: [String] = []
        var word: String?
        var quote: Character?
        for character in line {
            if let open = quote {
                if character == open { quote = nil } else { word = (word ?? "") + String(character) }
            } else if character == "'" || character == "\"" {
                quote = character
                word = word ?? ""
            } else if character == " " {
                if let done = word { words.append(done) }
                word = nil
            } else if word == nil, ["#", ">", "|", "&", ";", "("].contains(character) {
                return words
            } else if [")", ";"].contains(character) {
                break
            } else {
                word = (word ?? "") + String(character)
            }
        }
        if let done = word { words.append(done) }
        return words
    }
}

@Suite("The table of operations")
struct OperationTableTests {
    @Test("the server knows every operation with each name of its query, and docs/api.md has it")
    func everyOperationIsKnown() throws {
        let fixture = try ServerFixture()
        try fixture.start()
        let client = try fixture.client(key: fixture.operatorKey)
        let page = try Repository.text("docs/api.md")
        for operation in Operation.all {
            let name = "\(operation.method) \(operation.path)"
            #expect(
                page.contains("`\(name)`") || page.contains("`\(name)?") || page.contains("`\(name) "),
                "docs/api.md does not have \(name)")
            let query = operation.query.map { ($0, "1" as String?) }
            let answer = try client.attempt(
                operation.method, operation.path(with: ["x", "1"]), query: query, mayBeText: true)
            let code = answer.value["error"]?["code"]?.string ?? ""
            #expect(
                !["unknown_query", "method_not_allowed", "not_found"].contains(code) && answer.status != 405,
                "\(name): \(answer.value)")
        }
    }
}

extension FileHandle {
    /// Up to the next line break; nil at the end.
    fileprivate func readLine() throws -> String? {
        var line: [UInt8] = []
        while let byte = try read(upToCount: 1)?.first, byte != UInt8(ascii: "\n") { line.append(byte) }
        return line.isEmpty ? nil : String(decoding: line, as: UTF8.self)
    }
}
