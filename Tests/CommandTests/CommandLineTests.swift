import Testing
import Values

@testable import Commands

@Suite("The command line")
struct CommandLineTests {
    @Test(
        "what is not understood exits with 2 and says what to do",
        arguments: [
            (["balanse"], "did you mean `balance`"), (["runs", "--stat", "x"], "did you mean `--status`"),
            (["runs", "--limit", "many"], "whole number from 1 to 10000"),
            (["runs", "--limit"], "needs a value"),
            (["runs", "--status", "done"], "must be one of running"), (["run"], "needs ID"),
            (["version", "now"], "one argument too many"),
            (["help", "runs", "extra"], "no command `runs extra`"),
            (["version", "--json=1"], "takes no value"),
            (["version", "-x"], "options have two dashes"), (["secrets"], "needs one of: list, set, delete"),
            (["validate", "/no/such/file.yaml"], "/no/such/file.yaml"),
            (["buy", "none"], "whole number above 0"),
            (["trigger", "x", "{", "--key", "k"], "no JSON"),
            (["trigger", "x", "{", "--key", "k"], "where: DATA"),
            (["fork", "run_1", "--from", "a", "--input", "{", "--key", "k"], "where: --input"),
            (["trigger", "x", "--idempotency-key", "", "--key", "k"], "`--idempotency-key` is empty"),
            (["tenants"], "needs one of: list, create, keys, show, suspend"),
            (["balance", "--server", "somewhere", "--key", "k"], "must be an address such as https://"),
            (["balance", "--key", "a", "--key", "b"], "more than once"),
            (["deploy", "/", "--var", "x"], "NAME=VALUE"),
        ] as [([String], String)])
    func misunderstandingExitsWithTwo(arguments: [String], text: String) {
        let run = CommandLineRun(arguments)
        #expect(run.code == 2)
        #expect(run.error.contains(text), "\(run.error)")
        #expect(run.output.isEmpty)
    }

    @Test(
        "what replaces a list or a map is one, too, and nothing is deployed before that is known",
        arguments: [
            ("turns=3d", "list"), ("turns={a: 1}", "list"), ("names=[a]", "map"), ("turns=[3d", "list"),
        ])
    func constantsKeepTheirKind(text: String, kind: String) throws {
        let folder = try TemporaryFolder()
        let file = try folder.write(
            "flow.yaml",
            """
            {name: flow, version: 1, triggers: [{type: http}], vars: {turns: [1d, 2d], names: {a: b}},
            steps: [{finish: << vars.turns >>}]}
            """)
        let run = CommandLineRun(
            ["deploy", file, "--var", text, "--server", "http://127.0.0.1:1", "--key", "k"])
        #expect(run.code == 2 && run.error.contains("the file has a \(kind) there"), "\(run.error)")
    }

    @Test("a list and a map of `vars` are replaced by what --var says, and a text by any text")
    func constantsAreReplaced() throws {
        let fixture = try ServerFixture()
        try fixture.start()
        let key = try fixture.makeTenant().key
        let client = try fixture.client(key: key)
        let target = ["--server", client.server, "--key", key]
        let folder = try TemporaryFolder()
        let file = try folder.write(
            "flow.yaml",
            """
            {name: flow, version: 1, triggers: [{type: http}],
            vars: {turns: [1d], names: {a: b}, text: x, kept: [7]}, steps: [{finish: << vars >>}]}
            """)
        let constants = ["turns=[3d, {n: 7}]", "names={c: d}", "text=[no, list]"].flatMap { ["--var", $0] }
        #expect(CommandLineRun(["deploy", file] + constants + target).code == 0)
        let run = CommandLineRun(["trigger", "flow"] + target).output.trimmed
        let output = try RunCommands.awaitEnd(of: run, with: client)["output"]
        #expect(
            output == [
                "turns": ["3d", ["n": 7]], "names": ["c": "d"], "text": "[no, list]", "kept": [7],
            ], "\(String(describing: output))")
    }

    @Test("with --json an error is an object on standard error")
    func errorIsAnObject() {
        let run = CommandLineRun(["balanse", "--json"])
        #expect(run.code == 2)
        #expect(run.problem["code"] == "usage")
        #expect(run.problem["exit_code"] == 2)
        #expect(run.output.isEmpty)
    }

    @Test("a server that is not there exits with 4")
    func absentServerExitsWithFour() {
        let run = CommandLineRun(["balance", "--server", "http://127.0.0.1:1", "--key", "k"])
        #expect(run.code == 4)
        #expect(run.error.contains("millrace serve"))
    }

    @Test("no command at all shows the overview and exits with 2, asking for it with 0")
    func overviewIsShown() {
        #expect(CommandLineRun([]).code == 2)
        #expect(CommandLineRun(["--help"]).code == 0)
        #expect(CommandLineRun([]).output == CommandLineRun(["help"]).output)
    }

    @Test("--help is understood behind every command", arguments: Program.commands.map(\.path))
    func helpIsEverywhere(path: [String]) {
        let run = CommandLineRun(path + ["--help"])
        #expect(run.code == 0)
        #expect(run.output.contains("usage: millrace \(path.joined(separator: " "))"))
    }

    @Test("a value may follow an equals sign, and -- ends the options")
    func bothFormsOfValuesAreRead() throws {
        let command = try #require(Program.commands.first { $0.name == "trigger" })
        let parser = ArgumentParser(commands: Program.commands)
        let parsed = try parser.parse(["--data={}", "--wait", "--", "--odd-name"], for: command)
        #expect(parsed.text("data") == "{}")
        #expect(parsed.has("wait"))
        #expect(parsed.operands == ["--odd-name"])
    }

    @Test("the longest command that fits is meant")
    func longestCommandWins() throws {
        let parser = ArgumentParser(commands: Program.commands)
        #expect(try parser.command(in: ["ledger", "verify"]).command.name == "ledger verify")
        #expect(try parser.command(in: ["ledger", "--limit"]).command.name == "ledger")
        #expect(
            try parser.command(in: ["tenants", "keys", "create", "x"]).command.name == "tenants keys create")
    }

    @Test("what a terminal would obey is shown as question marks")
    func controlsAreHidden() {
        let run = CommandLineRun(["version", "\u{1B}[2J"])
        #expect(!run.error.contains("\u{1B}"))
        #expect(run.error.contains("?[2J"))
    }
}
