package import Ports
package import Values
import Workflow

/// A tenant's decrypted secrets, for the evaluation of expressions.
package struct OpenSecrets: Sendable {
    package struct Secret: Sendable {
        package var value: String
        /// The hosts to which it may be sent; empty for any.
        package var hosts: [String]

        package init(value: String, hosts: [String]) {
            self.value = value
            self.hosts = hosts
        }
    }

    package var byName: [String: Secret]

    package init(_ byName: [String: Secret] = [:]) { self.byName = byName }
}

/// `secrets` in an expression; a missing name is an error and never an empty text.
struct SecretsBranch: ScopeBranch {
    let secrets: OpenSecrets

    func member(_ name: String) throws(ExpressionFailure) -> ScopeNode? {
        guard let secret = secrets.byName[name] else { throw .secretMissing(name: name) }
        return .value(.string(secret.value))
    }

    var memberNames: [String] { [] }
}

/// The tenant of a run, for `tenant` in expressions.
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
///
/// It retains the whole state and must be released before the state changes. A class, because expressions
/// pass their scope on at every step.
final class RunScope: ExpressionScope, @unchecked Sendable {
    // Unchecked: only the evaluating thread uses `isTimeRead`.
    let state: RunState
    let plan: RunPlan
    let surroundings: Surroundings
    /// The frame of the innermost steps.
    let frame: Int
    /// The item, if the expression belongs to one that is no group.
    let item: Int?
    /// The response, for `fail_when` and `retry.on`.
    let response: ResponseBranch?
    let meter: EvaluationMeter?
    /// The node of the expression; nil for an output.
    let node: Int?
    /// The time of evaluation; nil if the expression must not ask for it.
    let at: Instant?
    /// Whether an expression has asked for the time.
    private(set) var isTimeRead = false

    init(
        state: RunState, plan: RunPlan, surroundings: Surroundings, frame: Int, item: Int?, node: Int?,
        response: ResponseBranch?, meter: EvaluationMeter?, at: Instant?
    ) {
        self.node = node
        self.at = at
        self.state = state
        self.plan = plan
        self.surroundings = surroundings
        self.frame = frame
        self.item = item
        self.response = response
        self.meter = meter
    }

    var now: Instant? {
        isTimeRead = true
        return at
    }

    func identifier(_ label: String) -> String? {
        let place = "\(state.run)/\(place)"
        let mac = surroundings.cryptography.hmac(
            "sha256", key: surroundings.signalKey, data: Array("id \(label) \(place)".utf8))
        return mac.map { Crockford.text($0, digitCount: 26) }
    }

    /// The path of the expression's owner.
    private var place: String {
        if let node { return state.path(node, plan) }
        return (state.frames[frame].owner.map { state.path($0, plan) + "/" } ?? "") + "output"
    }

    func member(_ name: String) -> ScopeNode? {
        switch name {
        case "trigger": state.trigger.map { .branch($0) }
        case "steps": .branch(StepsBranch(scope: self))
        case "secrets": .branch(SecretsBranch(secrets: surroundings.secrets))
        case "vars": .value(plan.definition.vars)
        case "run": .branch(RunBranch(scope: self))
        case "tenant":
            .value(
                TenantFacts(
                    tenant: surroundings.tenant, name: state.start?.tenantName ?? "",
                    externalCustomerID: state.start?.externalCustomerID
                ).value)
        case "response": response.map { .branch($0) }
        default: loopMember(name)
        }
    }

    var memberNames: [String] { ["trigger", "steps", "vars", "run", "tenant"] }

    /// `item`, `index` and `last` of the innermost strategy that has them.
    private func loopMember(_ name: String) -> ScopeNode? {
        guard state.frames.count > 1 else { return nil }
        for index in items {
            let frame = state.frames[state.nodes[index].frame]
            guard let strategy = plan.steps[state.nodes[index].step].strategy else { continue }
            switch name {
            case "index": return .value(.int(Int64(state.nodes[index].item)))
            case "last" where strategy.isLoop:
                guard let latest = frame.latest, let last = frame.last else { return .value(.null) }
                return .branch(StepBranch(phase: state.phase(latest), view: last))
            case strategy.itemName:
                return .value(strategy.item(state.nodes[index].item, of: frame.over))
            default: continue
            }
        }
        return nil
    }

    /// The items around the expression, innermost first.
    private var items: [Int] {
        var found = item.map { [$0] } ?? []
        var next = state.frames[frame].owner
        while let owner = next {
            if state.nodes[owner].item > 0 { found.append(owner) }
            next = state.frames[state.scopeFrame(of: owner)].owner
        }
        return found
    }

    /// The node to which `steps.<name>` refers here.
    fileprivate func node(called name: String) -> Int? {
        if let item, isCalled(item, name) { return item }
        var frame = self.frame
        while true {
            let (first, scope) = (state.frames[frame].first, state.frames[frame].scope)
            if let scope, let index = plan.scopes[scope].indexByID[name] { return first + index }
            guard let owner = state.frames[frame].owner else { return nil }
            if state.nodes[owner].item > 0, isCalled(owner, name) { return owner }
            frame = state.scopeFrame(of: owner)
        }
    }

    private func isCalled(_ node: Int, _ name: String) -> Bool {
        plan.steps[state.nodes[node].step].id.hasSameBytes(as: name)
    }
}

/// `run` in an expression; computed per member, because the token takes an HMAC and is rarely read.
struct RunBranch: ScopeBranch {
    static let names = ["id", "workflow", "now", "token", "signal_url", "parent"]

    let scope: RunScope

    func member(_ name: String) -> ScopeNode? {
        switch name {
        case "id": .value(.string(scope.state.run.description))
        case "workflow": .value(.string(scope.plan.definition.name))
        case "now": .value(.int(scope.state.start?.at.seconds ?? 0))
        case "token": .value(token.map { .string($0) } ?? .null)
        case "signal_url":
            .value(
                token.map { .string("\(scope.surroundings.publicURL)/signals/\(scope.state.run)/\($0)") }
                    ?? .null)
        case "parent": .value(scope.state.start?.parent?.value ?? .null)
        default: scope.state.final.flatMap { Self.member(name, of: $0) }.map { .value($0) }
        }
    }

    var memberNames: [String] { Self.names + (scope.state.final == nil ? [] : ScopeNames.ending) }

    /// The outcome of the run, for its `finally` steps.
    private static func member(_ name: String, of outcome: RunOutcome) -> Value? {
        switch name {
        case "outcome": .string(outcome.status.rawValue)
        case "error": outcome.errorValue
        case "output": outcome.output
        case "compensation": outcome.compensation.map { .string($0.rawValue) } ?? .null
        default: nil
        }
    }

    private var token: String? { scope.surroundings.signalToken(for: scope.state.run) }
}

private struct StepsBranch: ScopeBranch {
    let scope: RunScope

    func member(_ name: String) -> ScopeNode? {
        guard let index = scope.node(called: name) else { return nil }
        let node = scope.state.nodes[index]
        let view = node.item > 0 ? scope.state.itemResult(index) : node.result
        return .branch(StepBranch(phase: node.phase, view: view))
    }

    var memberNames: [String] {
        var names: [String] = []
        var next: Int? = scope.frame
        while let frame = next {
            if let number = scope.state.frames[frame].scope {
                let found = scope.plan.scopes[number]
                names += scope.plan.steps[found.first..<(found.first + found.count)].map(\.id)
            }
            next = scope.state.frames[frame].owner.map { scope.state.scopeFrame(of: $0) }
        }
        return names
    }
}

/// The scope of a trigger's guard and `dedupe`, before a run exists.
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
