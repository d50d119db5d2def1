package import Ports
package import Values
import Workflow

/// What a tenant's secrets hold, opened for the evaluation of its expressions.
package struct OpenSecrets: Sendable {
    package struct Secret: Sendable {
        package var value: String
        /// Hosts it may be sent to; empty for any.
        package var hosts: [String]

        package init(value: String, hosts: [String]) {
            self.value = value
            self.hosts = hosts
        }
    }

    package var byName: [String: Secret]

    package init(_ byName: [String: Secret] = [:]) { self.byName = byName }
}

/// `secrets` in an expression: a name that is not set is an error and never an empty text.
struct SecretsBranch: ScopeBranch {
    let secrets: OpenSecrets

    func member(_ name: String) throws(ExpressionFailure) -> ScopeNode? {
        guard let secret = secrets.byName[name] else { throw .secretMissing(name: name) }
        return .value(.string(secret.value))
    }

    var memberNames: [String] { [] }
}

/// Who a run belongs to, for `tenant` in expressions.
package struct TenantFacts: Sendable, Hashable {
    package var tenant: TenantID
    package var name: String
    package var externalCustomerID: String?

    package init(tenant: TenantID, name: String, externalCustomerID: String?) {
        self.tenant = tenant
        self.name = name
        self.externalCustomerID = externalCustomerID
    }

    var value: Value {
        [
            "id": .string(tenant.description), "name": .string(name),
            "external_customer_id": externalCustomerID.map { .string($0) } ?? .null,
        ]
    }
}

/// The scope of a run's expressions.
struct RunScope: ExpressionScope {
    let state: RunState
    let plan: RunPlan
    let surroundings: Surroundings
    /// For `fail_when` and `retry.on`: the answer in question.
    var response: ResponseBranch?
    var meter: EvaluationMeter?

    var now: Instant? { nil }

    func member(_ name: String) -> ScopeNode? {
        switch name {
        case "trigger": state.trigger.map { .branch($0) }
        case "steps": .branch(StepsBranch(scope: self))
        case "secrets": .branch(SecretsBranch(secrets: surroundings.secrets))
        case "vars": .value(plan.definition.vars)
        case "run": .value(run)
        case "tenant":
            .value(
                TenantFacts(
                    tenant: surroundings.tenant, name: state.start?.tenantName ?? "",
                    externalCustomerID: state.start?.externalCustomerID
                ).value)
        case "response": response.map { .branch($0) }
        default: nil
        }
    }

    var memberNames: [String] { ["trigger", "steps", "vars", "run", "tenant"] }

    private var run: Value {
        [
            "id": .string(state.run.description), "workflow": .string(plan.definition.name),
            "now": .int(state.start?.at.seconds ?? 0),
            "token": surroundings.signalToken(for: state.run).map { .string($0) } ?? .null,
            "parent": state.start?.parent?.value ?? .null,
        ]
    }
}

private struct StepsBranch: ScopeBranch {
    let scope: RunScope

    func member(_ name: String) -> ScopeNode? {
        guard let index = scope.plan.scopes[0].indexByID[name] else { return nil }
        return .branch(StepBranch(phase: scope.state.phase(index), view: scope.state.result(index)))
    }

    var memberNames: [String] { scope.plan.definition.root.steps.map(\.id) }
}

/// The scope of a trigger's guard and `dedupe`, before any run exists.
package struct TriggerScope: ExpressionScope {
    let trigger: TriggerView
    let vars: Value
    let tenant: TenantFacts
    let secrets: OpenSecrets
    package let now: Instant?

    package init(trigger: TriggerView, vars: Value, tenant: TenantFacts, secrets: OpenSecrets, now: Instant) {
        self.trigger = trigger
        self.vars = vars
        self.tenant = tenant
        self.secrets = secrets
        self.now = now
    }

    package func member(_ name: String) -> ScopeNode? {
        switch name {
        case "trigger": .branch(trigger)
        case "vars": .value(vars)
        case "secrets": .branch(SecretsBranch(secrets: secrets))
        case "tenant": .value(tenant.value)
        default: nil
        }
    }

    package var memberNames: [String] { ["trigger", "vars", "tenant"] }
}
