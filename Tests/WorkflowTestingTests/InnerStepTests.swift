import Testing
import Values

@Suite("Testing groups and strategies")
struct InnerStepTests {
    private static let workflow = """
        name: play
        version: 1
        triggers: [{type: http}]
        steps:
          look:
            steps:
              stock: {request: {url: https://api.example/stock}}
              price: {on_error: continue, request: {url: https://api.example/price}, retry: {max: 0}}
            output: {price: << steps.price.response.body.n >>}
          each:
            after: look
            strategy: {type: scatter, over: trigger.body, concurrency: 1}
            steps:
              - {id: charge, request: {method: POST, url: https://api.example/charge, body: << item >>}, retry: {max: 1, delay: 1s, jitter: none}}
              - {id: mail, when: item > 1, request: {method: POST, url: https://api.example/mail}}
        output: << steps.look.output >>
        """

    private func bench(_ cases: String) throws -> Bench { try Bench(workflow: Self.workflow, test: cases) }

    @Test("mocks, states and requests go by path, with a number for one item and without for all")
    func pathsAreNames() throws {
        let run = try bench(
            """
            cases:
              - name: both
                trigger: {body: [1, 2]}
                mocks:
                  look/stock: {status: 200}
                  look/price: {status: 200, body: {n: 7}}
                  each/charge: [{status: 503}, {status: 200}]
                  each/2/charge: {status: 402}
                expect:
                  outcome: succeeded
                  output: {price: 7}
                  elapsed: 1s
                  steps:
                    look: succeeded
                    look/price: succeeded
                    each/1: succeeded
                    each/2: failed
                    each/1/mail: skipped
                    each/2/mail: cancelled
                  requests:
                    - {step: look/stock}
                    - {step: look/price}
                    - {step: each/1/charge, attempt: 1, body: "1"}
                    - {step: each/charge, attempt: 2}
                    - {step: each/2/charge, attempt: 1}
            """
        ).run()
        #expect(run.code == 0, "\(run.output)")
    }

    @Test("a name that is no step's path is refused, and a number stands behind a strategy only")
    func unknownPathsAreRefused() throws {
        let run = try bench(
            """
            cases:
              - name: wrong
                mocks: {stock: {status: 200}, look/1/stock: {status: 200}, each/charge/2: {status: 200}}
                expect: {outcome: succeeded, steps: {each/0: succeeded, each/1/charge/compensate: succeeded}}
            """
        ).run("--json")
        let problems = run.value["files"]?[0]?["problems"]?.array ?? []
        #expect(problems.map { $0["code"]?.text ?? "" } == Array(repeating: "MR2007", count: 5))
    }

    @Test("a state that items do not share is told with all of them")
    func mixedStates() throws {
        let run = try bench(
            """
            cases:
              - name: mixed
                trigger: {body: [1, 2]}
                mocks:
                  look/stock: {status: 200}
                  look/price: {error: connection}
                  each/1/charge: {status: 402}
                  each/2/charge: {status: 200}
                  each/mail: {status: 202}
                expect: {outcome: succeeded, output: {price: null}, steps: {each/charge: failed, each/mail: succeeded}}
            """
        ).run("--json")
        let found = run.value["files"]?[0]?["cases"]?[0]?["differences"]?.array ?? []
        #expect(found.map { $0["path"]?.text ?? "" } == ["steps.each/charge", "steps.each/mail"])
        #expect(found.first?["actual"] == "failed, succeeded")
    }

    @Test("coverage counts steps inside groups by their path, for all items together")
    func coverageGoesInside() throws {
        let run = try bench(
            """
            cases:
              - name: one
                trigger: {body: [1]}
                mocks: {look/stock: {status: 200}, look/price: {status: 200}, each/charge: {status: 200}}
                expect: {outcome: succeeded}
            """
        ).run("--coverage")
        #expect(
            run.output.contains("never:   look/price: failed, went on, each/mail, each/mail: guard true"),
            "\(run.output)")
    }
}
