import Assembly
import Engine
import Ports
import Runtime
import SQLiteStore
import Storage
import Values
import Workflow

/// One run that sends a request for each of many items, against the step rate of plain runs.
struct FanOutBench {
    let options: BenchOptions

    func run() throws {
        let bench = try BenchInstallation(options)
        try bench.installation.runtime.recover()
        let plan = try BenchInstallation.deploy(
            """
            name: fan
            version: 1
            triggers:
              - type: http
            steps:
              each:
                strategy: {type: fan_out, over: << trigger.body.count >>, concurrency: \(options.inFlight)}
                request: {method: POST, url: "\(options.url)", body: {item: << index >>}}
            """, named: "fan", of: bench.tenant.tenant, to: bench.installation)
        let over = Promise<RunOutcome>()
        let flushesBefore = bench.installation.store.flushCount
        let processorBefore = processorSeconds()
        let begin = ContinuousClock.now
        let request = bench.request(plan, "{\"count\":\(options.runCount)}") { over.fulfil($0) }
        bench.installation.runtime.start(request) { result in
            guard case .started = result else {
                BenchOutput.complain("the run did not start: \(result)")
                return over.fulfil(RunOutcome(status: .failed))
            }
        }
        let outcome = over.wait()
        let seconds = Double((ContinuousClock.now - begin).microseconds) / 1_000_000
        let processor = processorSeconds() - processorBefore
        let flushes = bench.installation.store.flushCount - flushesBefore
        bench.installation.shutDown(drain: .seconds(2))
        let count = Double(options.runCount)
        BenchOutput.print([
            "items": .int(Int64(options.runCount)), "succeeded": .bool(outcome.status == .succeeded),
            "error": outcome.error.map { .string($0.message) } ?? .null,
            "seconds": BenchOutput.number(seconds), "steps_per_s": BenchOutput.number(count / seconds),
            "cpu_s_per_1000_steps": BenchOutput.number(processor / count * 1000),
            "flushes": .int(flushes), "max_rss_kib": .int(greatestResidentKibibytes()),
        ])
    }
}
