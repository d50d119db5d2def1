import Glibc
package import Values

/// Where a command writes and reads; a test gives its own.
package struct Console: Sendable {
    package var writeOutput: @Sendable ([UInt8]) -> Void
    package var writeError: @Sendable ([UInt8]) -> Void
    /// All of standard input.
    package var readInput: @Sendable () -> [UInt8]

    package init(
        writeOutput: @escaping @Sendable ([UInt8]) -> Void, writeError: @escaping @Sendable ([UInt8]) -> Void,
        readInput: @escaping @Sendable () -> [UInt8]
    ) {
        self.writeOutput = writeOutput
        self.writeError = writeError
        self.readInput = readInput
    }

    /// The process's own three.
    package static let standard = Console(
        writeOutput: { Files.write($0, to: 1) }, writeError: { Files.write($0, to: 2) },
        readInput: { Files.readAll(0, atMost: 16 << 20) })

    package func print(_ text: String) { writeOutput(Array((text + "\n").utf8)) }
    package func complain(_ text: String) { writeError(Array((text + "\n").utf8)) }
    package func print(_ value: Value) { print(JSON.text(value)) }
}
