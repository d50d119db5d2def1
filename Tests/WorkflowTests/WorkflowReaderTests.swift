import Testing
import Values
import Workflow
import WorkflowYAML

@Suite("Reading workflows")
struct WorkflowReaderTests {
    static let ordinary = """
        name: order-processing
        version: 3
        description: Charges a card and says so.
        triggers:
          - type: http
            schema: order
            reply: result
          - type: webhook
            when: |
              local signature = trigger.headers['x-signature']
              return crypto.equals(signature, crypto.hmac('sha256', secrets.HOOK, trigger.raw_body))
            dedupe: << trigger.body.id >>
        vars: {currency: usd}
        schemas:
          order: {type: object, required: [id]}
        steps:
          parse:
            lua: |
              return {id = trigger.body.id}
          charge:
            after: [parse]
            request:
              method: post
              url: https://pay.example.com/charges
              auth: {bearer: << secrets.PAY_KEY >>}
              headers: {Content-Type: application/x-www-form-urlencoded}
              query: {page: 1}
              body:
                amount: << trigger.body.amount >>
                note: "Order {{ steps.parse.output.id }} of << trigger.body.name >>"
                fixed: {a: [1, 2.50, NO]}
            response: {timeout: 10s, accept: [402], fail_when: response.body.ok == false, schema: {type: object}}
            retry: {max: 3, on: [connection, 5xx, 429, response.status == 409], delay: 5s, backoff: linear, jitter: none}
            on_error: continue
          tell:
            after: charge
            when: {lang: lua, expr: steps.charge.outcome == 'succeeded'}
            fail: no << steps.parse.output.id >>
        output: << steps.charge.response.body >>
        """

    @Test("an ordinary workflow is read whole")
    func ordinaryWorkflow() throws {
        let (read, problems) = Reading.workflow(Self.ordinary)
        #expect(problems == [])
        let definition = try #require(read)
        #expect(definition.name == "order-processing")
        #expect(definition.version == 3)
        #expect(definition.triggers.map(\.kind) == [.http, .webhook])
        #expect(definition.triggers.map(\.repliesWithResult) == [true, false])
        #expect(definition.secretNames == ["HOOK", "PAY_KEY"])
        #expect(definition.root.steps.map(\.id) == ["parse", "charge", "tell"])
        #expect(definition.root.steps.map(\.after) == [[], [0], [1]])
        let charge = definition.root.steps[1]
        #expect(charge.onError == .continue)
        #expect(charge.retry.max == 3 && charge.retry.delay == .seconds(5) && charge.retry.on.count == 4)
        guard case .request(let request) = charge.action else {
            Issue.record("charge is no request")
            return
        }
        #expect(request.method.constant == "POST")
        #expect(request.secretNames == ["PAY_KEY"])
        #expect(request.response.timeout == .seconds(10))
        #expect(request.response.accept == [402])
        guard case .map(let body) = request.body, case .text(let parts) = body[1].value else {
            Issue.record("the body is no map")
            return
        }
        #expect(parts.count == 4)
        #expect(body[2].value.constant == ["a": [1, .number("2.50"), "NO"]])
    }
}
