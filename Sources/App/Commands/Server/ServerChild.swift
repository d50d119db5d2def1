import Glibc
package import Processes
package import Values

/// A `millrace serve` in a process of its own, as the demonstration and the tests start it.
package final class ServerChild: Sendable {
    package let process: ChildProcess
    /// `http://127.0.0.1:7070`.
    package let url: String
    package let internalURL: String
    /// What it printed when it was ready.
    package let ready: Value

    /// Starts a server and waits until it is ready.
    ///
    /// - Parameters:
    ///   - program: The `millrace` program.
    ///   - arguments: What follows `serve`.
    ///   - logPath: File that its events are added to.
    /// - Throws: ``CommandFailure`` where it is not ready within ten seconds; it has ended then.
    package init(program: String, arguments: [String], logPath: String) throws(CommandFailure) {
        var ends: [Int32] = [-1, -1]
        let log = open(logPath, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        defer { close(log) }
        guard pipe(&ends) == 0, log >= 0 else {
            throw CommandFailure(
                .internal, "descriptors", "no file can be opened: \(String(cString: strerror(errno)))")
        }
        // Only the child may keep the writing end, or its own end would not be seen.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[0]) }
        do throws(ChildProblem) {
            process = try ChildProcess.start(
                [program, "serve"] + arguments, environment: ["MILLRACE_CONFIG": "/dev/null"],
                isInheriting: false,
                output: ends[1], error: log)
            close(ends[1])
        } catch {
            close(ends[1])
            throw CommandFailure(
                .internal, "spawn", "the server does not start: \(error.reason)", place: program)
        }
        let line = Self.firstLine(of: ends[0])
        guard let ready = try? JSON.parse(line), let address = ready["listen"]?.string,
            let internalAddress = ready["internal_listen"]?.string
        else {
            process.kill()
            let status = process.wait()
            throw CommandFailure(
                .internal, "not_ready", "the server ended with \(status) before it was ready", place: logPath)
        }
        self.ready = ready
        url = "http://\(address)"
        internalURL = "http://\(internalAddress)"
    }

    /// The bytes up to a line break, the end, or ten seconds without any.
    private static func firstLine(of file: Int32) -> [UInt8] {
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while true {
            var wanted = pollfd(fd: file, events: Int16(POLLIN), revents: 0)
            guard poll(&wanted, 1, 10_000) > 0, read(file, &byte, 1) == 1 else { return line }
            if byte == UInt8(ascii: "\n") { return line }
            line.append(byte)
        }
    }
}
