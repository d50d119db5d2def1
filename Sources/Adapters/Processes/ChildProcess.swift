import CSystem
import Glibc

/// A program that this process started and must wait for.
package struct ChildProcess: Sendable {
    package let id: Int32

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - arguments: The program, searched for in PATH, and its arguments.
    ///   - environment: Variables that replace or extend those of this process.
    ///   - isInheriting: Whether the child inherits this process's environment.
    ///   - output: Descriptor for its standard output; nil shares ours.
    ///   - error: Descriptor for its standard error; nil shares ours.
    /// - Returns: The running child.
    /// - Throws: ``ChildProblem`` with the system's reason; no child runs then.
    package static func start(
        _ arguments: [String], environment: [String: String] = [:], isInheriting: Bool = true,
        output: Int32? = nil, error: Int32? = nil
    ) throws(ChildProblem) -> ChildProcess {
        let inherited = isInheriting ? currentEnvironment() : [:]
        let variables = inherited.merging(environment) { $1 }.map { "\($0.key)=\($0.value)" }
        let status = withPointers(to: arguments) { argv in
            withPointers(to: variables) { envp in
                millrace_spawn(argv, envp, output ?? -1, error ?? -1)
            }
        }
        guard status > 0 else {
            throw ChildProblem(program: arguments.first ?? "", reason: String(cString: strerror(-status)))
        }
        return ChildProcess(id: status)
    }

    /// Sends SIGKILL, which ends the child at once.
    package func kill() { _ = millrace_kill(id, SIGKILL) }

    /// Sends SIGTERM, which lets the child finish its work.
    package func terminate() { _ = millrace_kill(id, SIGTERM) }

    /// Waits for the child's end and returns its exit status, or 128 plus the number of the signal that ended
    /// it.
    package func wait() -> Int32 { millrace_wait(id) }

    /// The path of the running program.
    package static var currentProgram: String? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes { bytes in
            bytes.bindMemory(to: CChar.self).baseAddress.map { readlink("/proc/self/exe", $0, bytes.count) }
                ?? 0
        }
        return count > 0 ? String(decoding: buffer.prefix(count), as: UTF8.self) : nil
    }

    /// The environment variables of this process at its start.
    package static func currentEnvironment() -> [String: String] {
        var bytes: [UInt8] = []
        let file = open("/proc/self/environ", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return [:] }
        defer { close(file) }
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = buffer.withUnsafeMutableBytes { bytes in
                bytes.baseAddress.map { read(file, $0, bytes.count) } ?? 0
            }
            guard count > 0 else { break }
            bytes.append(contentsOf: buffer.prefix(count))
        }
        var variables: [String: String] = [:]
        for entry in bytes.split(separator: 0) {
            let halves = entry.split(
                separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard halves.count == 2 else { continue }
            variables[String(decoding: halves[0], as: UTF8.self)] = String(decoding: halves[1], as: UTF8.self)
        }
        return variables
    }

    /// Calls `body` with a null-terminated array of C strings that are valid during the call only.
    private static func withPointers<Result>(
        to texts: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
    ) -> Result {
        let pointers = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: texts.count + 1)
        for (index, text) in texts.enumerated() { pointers[index] = strdup(text) }
        pointers[texts.count] = nil
        defer {
            for index in texts.indices { free(pointers[index]) }
            pointers.deallocate()
        }
        return body(pointers)
    }
}

/// Why a program did not start.
package struct ChildProblem: Error, Sendable, Hashable {
    package let program: String
    package let reason: String
}
