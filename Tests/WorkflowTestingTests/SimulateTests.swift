import Testing
import Values

@Suite("Simulating a run")
struct SimulateTests {
    private static let workflow = """
        name: play
        version: 1
        triggers:
          - type: webhook
            when: secrets.HOOK == 'never given'
        steps:
          rest: {sleep: 3d}
          ask:
            after: [rest]
            request:
              method: POST
              url: https://api.example/ask
              headers: {Authorization: "Bearer << secrets.KEY >>"}
              body: {n: << trigger.body.n >>}
            retry: {max: 2, delay: 1h, backoff: fixed, jitter: none}
        output: << steps.ask.response.body >>
        """

    @Test("each request is shown with its time, and nothing has to be given")
    func requestsAreShown() throws {
        let bench = try Bench(workflow: Self.workflow, test: "")
        let run = CommandLineRun(["simulate", "\(bench.folder)/play.yaml", "--data", #"{"n":7}"#])
        #expect(run.code == 0, "\(run.output)\(run.error)")
        #expect(run.output.contains("+3d       send      ask: POST https://api.example/ask"))
        #expect(run.output.contains("Authorization: Bearer [KEY]"))
        #expect(run.output.contains(#"{"n":7}"#))
    }

    @Test("answers are given as in a test, and the exit code says how the run would end")
    func answersAreGiven() throws {
        let bench = try Bench(
            workflow: Self.workflow,
            test: """
                secrets: {KEY: key_1}
                trigger: {body: {n: 8}}
                mocks: {ask: [{error: timeout}, {status: 400, body: no}]}
                """)
        let run = CommandLineRun([
            "simulate", "\(bench.folder)/play.yaml", "--answers", bench.testFile, "--json",
        ])
        #expect(run.code == 1)
        #expect(run.value["outcome"] == "failed")
        #expect(run.value["elapsed_ms"]?.int == 262_800_000)
        #expect(run.value["requests"]?[1]?["attempt"] == 2)
        #expect(run.value["requests"]?[1]?["body"] == #"{"n":8}"#)
    }

    @Test("a test file answers with its defaults, and with a case that is named")
    func aTestFileAnswers() throws {
        let bench = try Bench(
            workflow: Self.workflow,
            test: """
                defaults: {secrets: {KEY: key_1}, trigger: {body: {n: 8}}}
                cases:
                  - {name: it times out, mocks: {ask: {error: timeout, times: 3}}, expect: {outcome: failed}}
                  - {name: it answers, trigger: {body: {n: 9}}, mocks: {ask: {status: 201}}, expect: {outcome: succeeded}}
                """)
        func run(_ options: String...) -> CommandLineRun {
            CommandLineRun(["simulate", "\(bench.folder)/play.yaml", "--json"] + options)
        }
        let answers = ["--answers", bench.testFile]
        #expect(run(answers[0], answers[1]).value["requests"]?[0]?["body"] == #"{"n":8}"#)
        let late = run(answers[0], answers[1], "--case", "times")
        #expect(late.code == 1 && late.value["requests"]?.array?.count == 3)
        #expect(
            run(answers[0], answers[1], "--case", "answers").value["requests"]?[0]?["body"] == #"{"n":9}"#)
        #expect(run(answers[0], answers[1], "--case", "nothing").code == 2)
        #expect(run("--case", "answers").code == 2)
    }

    @Test("a file of answers with a fault is refused")
    func faultsAreTold() throws {
        let bench = try Bench(workflow: Self.workflow, test: "mock: {}")
        let run = CommandLineRun(["simulate", "\(bench.folder)/play.yaml", "--answers", bench.testFile])
        #expect(run.code == 2)
        #expect(run.error.contains("did you mean `mocks`?"))
    }
}
