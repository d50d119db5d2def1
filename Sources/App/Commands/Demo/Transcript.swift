import Values

/// What the demonstration says, and whether all was as it should be.
final class Transcript: @unchecked Sendable {
    // Unchecked: the counts are read and written by the thread of the story alone.
    private let console: Console
    private(set) var checkCount = 0
    private(set) var failures: [String] = []
    private var chapterCount = 0

    init(console: Console) { self.console = console }

    func chapter(_ title: String) {
        chapterCount += 1
        console.print("\n\(chapterCount). \(title)")
    }

    func say(_ text: String) { console.print("   \(text)") }

    /// A command line and what it printed.
    func command(_ line: String, output: String) {
        console.print("   $ \(line)")
        for line in output.split(separator: "\n") { console.print("     \(line)") }
    }

    /// Compares what is expected with what was seen and says both.
    func expect<Answer: Equatable>(_ what: String, _ expected: Answer, _ seen: Answer) {
        expect(what, "\(expected)", isMet: expected == seen, seen: "\(seen)")
    }

    /// As ``expect(_:_:_:)`` for what is expected in words.
    func expect(_ what: String, _ expected: String, isMet: Bool, seen: String) {
        checkCount += 1
        if !isMet { failures.append(what) }
        let mark = isMet ? "ok     " : "NOT OK "
        console.print("   \(mark)\(what): expected \(expected), saw \(seen)")
    }
}
