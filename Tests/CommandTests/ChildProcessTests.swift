import Processes
import Testing

@Suite("Child processes")
struct ChildProcessTests {
    @Test("a program that does not exist starts nothing, and the problem names it")
    func missingProgram() {
        do throws(ChildProblem) {
            let child = try ChildProcess.start(["/nowhere/program"])
            Issue.record("it runs")
            _ = child.wait()
        } catch {
            #expect(error.program == "/nowhere/program" && !error.reason.isEmpty)
        }
    }
}
