import Glibc
import Values

/// `tenants export`: pages of the server's answer become lines of a file.
enum TenantExportCommand {
    @Sendable static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        guard let target = invocation.arguments.text("to") else {
            throw .usage("--to is missing", hint: "say it with --to FILE")
        }
        let client = try APIClient(invocation)
        let tenant = [invocation.arguments.operands[0]]
        // Asked before the file is made: a refusal leaves none.
        var page = try client.call(.export, tenant).value
        let file = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw unwritable(target) }
        defer { close(file) }
        var count = 0
        while true {
            let items = page["items"]?.array ?? []
            count += items.count
            guard Files.write(items.flatMap { JSON.bytes($0) + [UInt8(ascii: "\n")] }, to: file) else {
                throw unwritable(target)
            }
            guard let cursor = page["next"]?.string else { break }
            page = try client.call(.export, tenant, query: [("cursor", cursor)]).value
        }
        guard fsync(file) == 0 else { throw unwritable(target) }
        if invocation.isJSON {
            invocation.console.print(["file": .string(target), "lines": .int(Int64(count))])
        } else {
            invocation.console.print("wrote \(count) lines to \(target)")
        }
        return .ok
    }

    private static func unwritable(_ path: String) -> CommandFailure {
        CommandFailure(
            .usage, "file_unwritable", "the export cannot be written: \(String(cString: strerror(errno)))",
            place: path, hint: "name a file that does not exist, in a folder that does")
    }
}
