import Ports
import Testing

@Suite("Endless steps")
struct EndlessStepTests {
    /// Goal: evaluation happens under one lock, so one tenant's loops must not become everybody's wait.
    @Test("S15: a tenant whose steps compute without end waits for its own debt, and others go on")
    func othersGoOn() throws {
        try withService { service in
            let busy = try service.tenant("Busy")
            let calm = try service.tenant("Calm")
            let long = "{lua: \"local n = 0 for i = 1, 200000 do n = n + 1 end return n\"}"
            let steps = (1...64).map { "  s\($0): \(long)" }.joined(separator: "\n")
            let endless = "name: endless\nversion: 1\ntriggers: [{type: http}]\nsteps:\n" + steps
            #expect(busy.deploy(endless).status == 201)
            #expect(
                calm.deploy("name: quick\nversion: 1\ntriggers: [{type: http}]\nsteps: {a: {lua: return 1}}")
                    .status
                    == 201)
            let answers = (0..<100).map { _ in busy.trigger("endless") }
            #expect(answers.first?.status == 202)
            let turnedAway = try #require(answers.first { $0.status == 503 })
            // Nothing is wrong with the server, and the tenant is told so.
            #expect(turnedAway.code == "computed_too_much")
            #expect(turnedAway.headers["retry-after"].flatMap { Int($0) } ?? 0 >= 1)
            let begun = ContinuousClock.now
            for _ in 0..<20 { #expect(calm.trigger("quick").status == 202) }
            #expect(ContinuousClock.now - begun < .seconds(15))
        }
    }
}
