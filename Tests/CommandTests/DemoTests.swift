import Foundation
import Processes
import Testing
import Values

@testable import Commands

@Suite("The demonstration", .serialized)
struct DemoTests {
    @Test("the whole story holds, turn by turn", .timeLimit(.minutes(3)))
    func storyHolds() throws {
        let folder = try TemporaryFolder()
        let file = open("\(folder.path)/out", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        let child = try ChildProcess.start(
            [Repository.program, "demo", "--repository", Repository.folder.path()],
            environment: ["TMPDIR": folder.path], output: file)
        close(file)
        let code = child.wait()
        let transcript = String(decoding: try Files.read("\(folder.path)/out"), as: UTF8.self)
        #expect(code == 0, "\(transcript)")
        #expect(!transcript.contains("NOT OK"))
        #expect(try Files.names(in: folder.path) == ["out"], "the story's own folder is removed")
    }

    @Test("what differs is counted, named and ends with 1")
    func differencesAreNamed() {
        let gathered = Gathered()
        let console = Console(writeOutput: { gathered.add($0) }, writeError: { _ in }, readInput: { [] })
        let transcript = Transcript(console: console)
        transcript.expect("credits", 1, 1)
        transcript.expect("receipts", 1, 2)
        #expect(transcript.checkCount == 2)
        #expect(transcript.failures == ["receipts"])
        #expect(gathered.text.contains("NOT OK receipts: expected 1, saw 2"))
    }
}
