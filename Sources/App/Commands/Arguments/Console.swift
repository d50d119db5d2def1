import Glibc
package import Values

/// Where a command writes and reads; a test gives its own.
package struct Console: Sendable {
    package var writeOutput: @Sendable ([UInt8]) -> Void
    package var writeError: @Sendable ([UInt8]) -> Void
    /// All of standard input.
    package var readInput: @Sendable () -> [UInt8]
    /// Why output is lost, as the system numbers it; nil while none is.
    var outputProblem: @Sendable () -> Int32? = { nil }

    package init(
        writeOutput: @escaping @Sendable ([UInt8]) -> Void, writeError: @escaping @Sendable ([UInt8]) -> Void,
        readInput: @escaping @Sendable () -> [UInt8]
    ) {
        self.writeOutput = writeOutput
        self.writeError = writeError
        self.readInput = readInput
    }

    /// The process's own three.
    package static let standard = {
        var console = Console(
            writeOutput: { StandardOutput.shared.write($0) }, writeError: { Files.write($0, to: 2) },
            readInput: { Files.readAll(0, atMost: 16 << 20) })
        console.outputProblem = { StandardOutput.shared.problem }
        return console
    }()

    /// Whether nobody reads what is printed any more, as after `| head`.
    var isReaderGone: Bool { outputProblem() == EPIPE }

    package func print(_ text: String) { writeOutput(Self.line(text)) }
    package func complain(_ text: String) { writeError(Self.line(text)) }
    package func print(_ value: Value) { print(JSON.text(value)) }

    /// A terminal must not be steered by what a server or a file holds: controls become question marks.
    private static func line(_ text: String) -> [UInt8] {
        var line = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            let isControl = scalar.properties.generalCategory == .control && scalar != "\n" && scalar != "\t"
            line.append(isControl ? "?" : scalar)
        }
        return Array(String(line).utf8) + [UInt8(ascii: "\n")]
    }
}
