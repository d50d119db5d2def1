/// The commands about the server itself.
enum ServerCommands {
    static let all = [
        InitCommand.command, ServeCommand.command, BackupCommand.command, RestoreCommand.command,
    ]
}
