import TestSupport
import Testing
import Values
import Workflow
import WorkflowYAML

@Suite("Random files")
struct WorkflowFuzzTests {
    private static let pieces = [
        "<<", ">>", "{{", "}}", "{", "}", "[", "]", ": ", "- ", "\n", "  ", "\t", "#", "'", "\"", "|", ">",
        "&a ", "*a",
        "!t ", "\\", "\u{0}", "é", "\u{FFFD}", "999999999999999999999", "null", "steps.", "---\n", "? ", "%",
        "\r",
    ]

    @Test("mutated workflows are read or refused, and every problem has a place in the file")
    func mutationsNeverCrash() throws {
        let sources =
            try Reading.examples().map { Array($0.utf8) } + [Array(WorkflowReaderTests.ordinary.utf8)]
        var random = SeededRandom(seed: 20)
        let end = ContinuousClock.now + .milliseconds(1200)
        var count = 0
        while ContinuousClock.now < end, count < 3000 {
            count += 1
            var bytes = sources[Int.random(in: 0..<sources.count, using: &random)]
            for _ in 0..<Int.random(in: 1...4, using: &random) { Self.mutate(&bytes, &random) }
            let (definition, problems) = DocumentReader.workflow(bytes, with: Reading.reader)
            #expect(definition != nil || problems.hasErrors)
            #expect(problems.allSatisfy { $0.mark.line >= 1 && $0.mark.column >= 1 })
            _ = ProblemReport(file: "f", source: bytes, problems: problems).text
        }
        #expect(count > 50)
    }

    private static func mutate(_ bytes: inout [UInt8], _ random: inout SeededRandom) {
        let position = Int.random(in: 0...bytes.count, using: &random)
        let length = min(bytes.count - position, Int.random(in: 0...12, using: &random))
        switch Int.random(in: 0..<5, using: &random) {
        case 0: bytes.removeSubrange(position..<(position + length))
        case 1:
            bytes.insert(contentsOf: Array((pieces.randomElement(using: &random) ?? "").utf8), at: position)
        case 2: bytes.insert(UInt8.random(in: 0...255, using: &random), at: position)
        case 3: bytes.insert(contentsOf: Array(bytes[position..<(position + length)]), at: position)
        default:
            let other = Int.random(in: 0...(bytes.count - length), using: &random)
            bytes.insert(contentsOf: Array(bytes[other..<(other + length)]), at: position)
        }
    }
}
