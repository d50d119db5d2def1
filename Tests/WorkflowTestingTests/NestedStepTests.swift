import Foundation
import Testing
import Values

@Suite("Test files of workflows with groups, strategies and calls")
struct NestedStepTests {
    private static let workflow = """
        name: play
        version: 1
        triggers: [{type: http}]
        steps:
          each:
            strategy: {type: scatter, over: << trigger.body.orders >>, as: order, concurrency: 1}
            steps:
              - id: look
                request: {url: "https://shop.example/orders/<< order >>"}
              - id: ship
                when: steps.look.response.body.paid
                request: {method: POST, url: "https://shop.example/labels", body: {order: << order >>}}
                compensate: {request: {method: DELETE, url: "https://shop.example/labels/<< order >>"}}
          book:
            after: each
            strategy: {type: fan_out, over: 2}
            call: bookkeeping
            input: {number: << index >>}
        output: << steps.book.output >>
        """

    private func bench(_ cases: String) throws -> Bench {
        try Bench(workflow: Self.workflow, test: "cases:\n" + cases)
    }

    @Test("steps are named by their paths, without a number for every item, and all of it is covered")
    func pathsAreUnderstood() throws {
        let bench = try bench(
            """
              - name: all well
                trigger: {body: {orders: [7, 8]}}
                mocks:
                  each/look: {status: 200, body: {paid: true}}
                  each/2/look: {status: 200, body: {paid: false}}
                  each/1/ship: {status: 201}
                  book: {output: done}
                expect:
                  outcome: succeeded
                  output: [done, done]
                  steps: {each: succeeded, each/1/ship: succeeded, each/2/ship: skipped}
                  requests: [{step: each/1/look}, {step: each/1/ship, body: {order: 7}}, {step: each/2/look}]
                  calls:
                    - {step: book/1, workflow: bookkeeping, input: {number: 1}}
                    - {step: book/2, workflow: bookkeeping, input: {number: 2}}
              - name: a book that fails undoes what was shipped
                trigger: {body: {orders: [7]}}
                mocks:
                  each/look: {status: 200, body: {paid: true}}
                  each/ship: {status: 201}
                  each/1/ship/compensate: {status: 204}
                  book/1: {error: {code: child_failed}}
                  book/2: {output: done}
                expect: {outcome: failed, compensation: succeeded}
            """)
        let run = bench.run("--coverage")
        #expect(run.code == 0, "\(run.output)\(run.error)")
        #expect(run.output.contains("covered 100 % of 7 steps and branches"))
    }

    @Test("what a run has done is undone where only its output fails")
    func failingOutputUndoes() throws {
        let workflow = """
            name: play
            version: 1
            triggers: [{type: http}]
            steps:
              - id: charge
                request: {method: POST, url: "https://shop.example/charges"}
                compensate: {request: {method: DELETE, url: "https://shop.example/charges"}}
            output: << steps.charge.response.body.total + 1 >>
            """
        let bench = try Bench(
            workflow: workflow,
            test: """
                cases:
                  - name: a charge without a total is undone
                    mocks: {charge: {status: 200, body: {}}, charge/compensate: {status: 204}}
                    expect:
                      outcome: failed
                      error: {code: raised}
                      compensation: succeeded
                      requests: [{step: charge}, {step: charge/compensate, method: DELETE}]
                      steps: {charge/compensate: succeeded}
                """)
        let run = bench.run()
        #expect(run.code == 0, "\(run.output)\(run.error)")
    }

    @Test("coverage names steps of groups by their place, and a path that leads nowhere is told")
    func placesAreTold() throws {
        let nothing = try bench(
            "  - {name: none, trigger: {body: {orders: []}}, mocks: {book: {output: 1}}, expect: {outcome: succeeded}}"
        )
        #expect(
            nothing.run("--coverage").output.contains(
                "never:   each/look, each/ship, each/ship: guard true, each/ship: guard false, each/ship/compensate"
            ))
        for path in ["each/lok", "each/1/lok", "each/1/look/compensate", "book/1/x", "book/one", "each/1/"] {
            let run = try bench(
                "  - {name: a, mocks: {\(path): {status: 200}}, expect: {outcome: succeeded}}"
            ).run()
            #expect(run.output.contains("MR2007"), "\(path): \(run.output)")
        }
    }
}
