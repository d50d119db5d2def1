import Foundation
import Ports
import Testing
import Values

@testable import Commands
@testable import Engine
@testable import WorkflowTesting

/// What `run --sent` shows is what was sent: loops, groups, retries and compensations of every example among it.
@Suite("Requests that are rebuilt from journals")
struct AttemptReplayTests {
    private static let folders = ["workflows", "examples", "Tests/FormatExamples"]

    private struct Count {
        var attempts = 0
        var repeated = 0
        var inner = 0
    }

    @Test("each is what the run had sent, in every case of every workflow of the repository")
    func requestsAreRebuilt() throws {
        var count = Count()
        for folder in Self.folders {
            let walk = FileManager.default.enumerator(atPath: Repository.path(folder))
            for case let file as String in walk ?? .init() where file.hasSuffix(".test.yaml") {
                try check("\(Repository.path(folder))/\(file)", &count)
            }
        }
        #expect(count.attempts > 100 && count.repeated > 10 && count.inner > 10, "\(count)")
    }

    private func check(_ path: String, _ count: inout Count) throws {
        let (read, _) = TestFileReader.read(
            try Files.read(path), path: path, with: WorkflowCommands.reader()
        ) { try? Files.read($0) }
        // An example of a page is in the page, and other tests read it there.
        guard let file = read else { return }
        for one in file.cases {
            let simulation = CaseRunner(file.definition).rehearse(one).simulation
            compare(simulation, "\(path): \(one.name)", &count)
        }
    }

    private func compare(_ simulation: Simulation, _ place: String, _ count: inout Count) {
        var replay = AttemptReplay(
            run: simulation.machine.state.run, plan: simulation.plan, surroundings: simulation.surroundings)
        let attempts = replay.attempts(in: simulation.records, AttemptReplay.Selection(limit: .max))
        let redaction = Redaction(simulation.surroundings.redactor, simulation.machine.state.sensitive)
        for attempt in attempts {
            let sent = simulation.sent.first { $0.step == attempt.step && $0.attempt == attempt.number }
            let name = "\(place): \(attempt.step) attempt \(attempt.number)"
            guard let request = sent?.request, let shown = attempt.sent else {
                Issue.record("\(name): \(attempt.note ?? "was never sent")")
                continue
            }
            #expect(shown.method == request.method && shown.url == redaction.redact(request.url), "\(name)")
            let type = request.headers["content-type"]
            #expect(shown.body == redaction.redact(body: request.body, contentType: type), "\(name)")
            #expect(shown.headers.map(\.name) == request.headers.map(\.name), "\(name)")
            #expect(shown.headers["idempotency-key"] == request.headers["idempotency-key"], "\(name)")
            count.attempts += 1
            count.repeated += attempt.number > 1 ? 1 : 0
            count.inner += attempt.step.contains("/") ? 1 : 0
        }
    }
}
