import Values
import Workflow

/// `completions`.
enum CompletionCommands {
    static let all = [
        Command(
            "completions", "print the completion script of a shell: bash, zsh or fish",
            operands: [Operand("SHELL")],
            details: """
                    source <(millrace completions bash)                                        in ~/.bashrc
                    source <(millrace completions zsh)                                         in ~/.zshrc
                    millrace completions fish > ~/.config/fish/completions/millrace.fish       once
                """, run: run)
    ]

    @Sendable private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let name = invocation.arguments.operands[0]
        let tree = CompletionTree(Program.commands)
        let script: String
        switch name {
        case "bash": script = tree.bash
        case "zsh": script = tree.zsh
        case "fish": script = tree.fish
        default:
            throw .usage(
                "there are completions for bash, zsh and fish, not for `\(name)`",
                hint: Suggestion.hint(for: name, among: ["bash", "zsh", "fish"]))
        }
        if invocation.isJSON {
            invocation.console.print(["shell": .string(name), "script": .string(script)])
        } else {
            invocation.console.print(script)
        }
        return .ok
    }
}
