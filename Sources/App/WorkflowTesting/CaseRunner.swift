import Engine
import OpenSSLCrypto
import Ports
import Runtime
import Values
package import Workflow

/// Runs cases of one file; the same case always gives the same result.
package struct CaseRunner: Sendable {
    private let definition: WorkflowDefinition
    private let cryptography = OpenSSLCryptography()

    package init(_ definition: WorkflowDefinition) { self.definition = definition }

    package func run(_ one: TestCase) -> CaseResult {
        let plan = self.plan(of: one)
        let secrets = OpenSecrets(one.secrets.mapValues { OpenSecrets.Secret(value: $0, hosts: []) })
        let doorway = Doorway(one: one, plan: plan, secrets: secrets, cryptography: cryptography)
        let verdict = doorway.verdict()
        var book = MockBook(one.mocks)
        var simulation: Simulation?
        if case .accepted(let start, _) = verdict {
            simulation = play(start, one, plan, secrets) { book.answer(to: $0) }
        }
        let judgement = Judgement(one: one, verdict: verdict, simulation: simulation, unused: book.unused)
        return CaseResult(
            name: one.name, mark: one.mark, differences: judgement.differences(),
            traces: trace(verdict, simulation))
    }

    /// Starts a run whatever the triggers would say, and plays it; requests without a mock are answered
    /// with 200 and an empty object, calls with a child that succeeds without output.
    package func rehearse(_ one: TestCase) -> Rehearsal {
        let plan = self.plan(of: one)
        let secrets = OpenSecrets(one.secrets.mapValues { OpenSecrets.Secret(value: $0, hosts: []) })
        let doorway = Doorway(one: one, plan: plan, secrets: secrets, cryptography: cryptography)
        var book = MockBook(one.mocks)
        let simulation = play(doorway.start, one, plan, secrets) {
            book.answer(to: $0) ?? Self.standardAnswer(to: $0)
        }
        return Rehearsal(simulation: simulation)
    }

    private static func standardAnswer(to question: Simulation.Question) -> MockAnswer {
        let reply: MockAnswer.Reply =
            switch question {
            case .request:
                .response(
                    .success(
                        OutboundResponse(
                            status: 200, headers: [HTTPHeader("content-type", "application/json")],
                            body: Array("{}".utf8))))
            case .child: .child(RunOutcome(status: .succeeded))
            }
        return MockAnswer(reply: reply, took: .zero, times: 1)
    }

    private func plan(of one: TestCase) -> RunPlan {
        var definition = definition
        if var vars = definition.vars.object {
            for member in one.vars.members { vars[member.name] = member.value }
            definition.vars = .object(vars)
        }
        return RunPlan(definition: definition, digest: [])
    }

    private func play(
        _ start: RunStart, _ one: TestCase, _ plan: RunPlan, _ secrets: OpenSecrets,
        answer: (Simulation.Question) -> MockAnswer?
    ) -> Simulation {
        let surroundings = Surroundings(
            tenant: one.tenant.id, secrets: secrets, redactor: Redactor(secrets: one.secrets.values),
            cryptography: cryptography, signalKey: Array("millrace test".utf8),
            publicURL: "https://millrace.example.com", gauge: TimeGauge())
        var simulation = Simulation(plan: plan, surroundings: surroundings, at: one.at)
        simulation.plan(.started(start, isFunded: true), at: one.at)
        if let cancel = one.cancel {
            let at = one.at + cancel.after
            simulation.plan(.cancelRequested(reason: cancel.reason, at: at), at: at)
        }
        for (index, given) in one.signals.enumerated() {
            let at = one.at + given.after
            let signal = RunSignal(id: given.id ?? "signal-\(index + 1)", name: given.name, body: given.body)
            simulation.plan(.signalled(signal, at: at), at: at)
        }
        simulation.play(answer: answer)
        return simulation
    }

    private func trace(_ verdict: Doorway.Verdict, _ simulation: Simulation?) -> Trace {
        var trace = Trace()
        guard let simulation else {
            trace.isRefused = true
            return trace
        }
        trace.isAccepted = true
        for sent in simulation.sent { trace.run.insert(StepPath.plain(sent.step)) }
        for called in simulation.called { trace.run.insert(StepPath.plain(called.step)) }
        for record in simulation.records {
            switch record.entry {
            case .stepOpened(let path, _): trace.run.insert(StepPath.plain(path))
            case .stepSettled(let itemPath, let result):
                let path = StepPath.plain(itemPath)
                guard result.error.map({ !$0.message.hasPrefix("when: ") }) ?? true else { continue }
                trace.run.insert(path)
                if case .signal = result.content { trace.signalled.insert(path) }
                if case .timedOut = result.content { trace.timedOut.insert(path) }
                if result.error != nil { trace.forgiven.insert(path) }
            case .stepSkipped(let itemPath, let reason):
                let path = StepPath.plain(itemPath)
                trace.skipped.insert(path)
                if reason == .timedOut {
                    trace.run.insert(path)
                    trace.timedOut.insert(path)
                }
                if reason == .guardFalse { trace.guardFalse.insert(path) }
            case .attemptFailed(let path, _, _, _, _, _): trace.retried.insert(StepPath.plain(path))
            default: break
            }
        }
        trace.guardTrue = trace.run
        return trace
    }
}
