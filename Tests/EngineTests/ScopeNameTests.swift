import Ports
import Testing
import Values
import Workflow

@testable import Engine

@Suite("Names of the scope")
struct ScopeNameTests {
    /// `validate` refuses what is not in ``ScopeNames``, and the engine answers what it answers.
    @Test("what validation knows of the scope is what the engine answers")
    func namesAgree() throws {
        let start = RunStart(
            triggerKind: "http", headers: [], query: [], body: [], at: Instant(milliseconds: 0),
            tenantName: "t",
            externalCustomerID: nil)
        #expect(Set(TriggerView(start).memberNames) == Set(ScopeNames.trigger))
        let facts = TenantFacts(tenant: TenantID(number: 1), name: "t", externalCustomerID: nil)
        #expect(Set(facts.value.object?.members.map(\.name) ?? []) == Set(ScopeNames.tenant))
        #expect(
            Set(ResponseBranch(status: 200, headers: [], body: .null).memberNames) == Set(ScopeNames.response)
        )
        let ofSteps = ["request", "lua", "call", "wait", "sleep", "steps"].flatMap(
            ScopeNames.members(ofStep:))
        #expect(
            Set(StepBranch(phase: .succeeded, view: nil).memberNames)
                == Set(ofSteps + ScopeNames.strategyMembers))
        #expect(Set(RunBranch.names) == Set(ScopeNames.run))
    }
}
