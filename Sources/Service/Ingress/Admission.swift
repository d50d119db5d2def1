package import Engine
import Ports
import Storage
package import Values
package import Workflow

/// Whether one of a workflow's triggers takes a request; decides without any effect.
package struct Admission {
    let call: TriggerCall
    let plan: RunPlan
    let secrets: OpenSecrets

    package enum Verdict {
        case admitted(Trigger, dedupe: String?, body: Value)
        case malformedBody(reason: String)
        /// A part of the `dedupe` key is missing.
        case keyMissing(reason: String)
        case refused
        case guardFailed(String)
        case unfit([String])
    }

    /// Dedupe keys are kept for long, so their length is bounded.
    private static let dedupeByteCountMax = 512
    /// After this no further trigger is tried; one guard alone has its own, shorter limit.
    private static let timeMax = Duration.milliseconds(100)

    /// The body read by its content type, once; a fault if it is not what its type says.
    private let body: Value
    private let malformation: String?

    package init(call: TriggerCall, plan: RunPlan, secrets: OpenSecrets) {
        self.call = call
        self.plan = plan
        self.secrets = secrets
        let request = call.request
        do throws(BodyProblem) {
            body = try BodyReader.read(
                request.body, contentType: request.headers["content-type"],
                contentEncoding: request.headers["content-encoding"],
                untyped: call.source == .key ? .json : .perhapsJSON)
            malformation = nil
        } catch {
            body = Value(bytes: request.body)
            malformation = error.message(about: "the body")
        }
    }

    /// The first trigger that takes the request; where none does, an error in a guard weighs more than
    /// a no, because a no loses the request.
    ///
    /// - Parameters:
    ///   - triggers: Tried in this order.
    ///   - reading: Time that has passed; nil where it is not looked at.
    /// - Returns: What becomes of the request.
    package func verdict(among triggers: [Trigger], reading: (() -> Duration)? = nil) -> Verdict {
        let view = self.view
        let scope = TriggerScope(
            trigger: view, vars: plan.definition.vars, tenant: tenantFacts, secrets: secrets,
            now: call.request.receivedAt)
        var rejection = Verdict.refused
        let begun = reading?() ?? .zero
        for trigger in triggers {
            guard (reading?() ?? .zero) - begun < Self.timeMax else {
                return .guardFailed("the guards of this workflow's triggers took too long together")
            }
            do throws(ExpressionFailure) {
                if let expression = trigger.guardExpression {
                    guard try GuardReading.isTrue(try expression.evaluate(in: scope)) else { continue }
                }
                // The body is judged only after the guard: a stranger learns nothing about it.
                if let reason = malformation { return .malformedBody(reason: reason) }
                if let violations = trigger.schema?.validate(view.body), !violations.isEmpty {
                    return .unfit(violations.map(\.text))
                }
                return try admitted(trigger, scope, view.body)
            } catch {
                rejection = .guardFailed(error.message)
            }
        }
        return rejection
    }

    private var view: TriggerView {
        var start = RunStart(
            triggerKind: call.source == .key ? "http" : "webhook", headers: call.request.headers,
            query: call.request.query, body: call.request.body, at: call.request.receivedAt,
            tenantName: call.tenant.name, externalCustomerID: call.tenant.externalCustomerID)
        start.parsedBody = body
        return TriggerView(start)
    }

    private var tenantFacts: TenantFacts {
        TenantFacts(
            tenant: call.tenant.tenant, name: call.tenant.name,
            externalCustomerID: call.tenant.externalCustomerID)
    }

    private func admitted(
        _ trigger: Trigger, _ scope: TriggerScope, _ body: Value
    ) throws(ExpressionFailure) -> Verdict {
        guard let template = trigger.dedupe else { return .admitted(trigger, dedupe: nil, body: body) }
        let key: Value
        do throws(KeyFault) { key = try template.key(in: scope) } catch {
            if case .failed(let failure) = error { throw failure }
            return .keyMissing(reason: "dedupe: \(error.message)")
        }
        return .admitted(trigger, dedupe: try dedupe(key), body: body)
    }

    /// Text or a number; null means that this request has no key.
    private func dedupe(_ value: Value) throws(ExpressionFailure) -> String? {
        switch value {
        case .null: return nil
        case .string(let text) where text.isEmpty: return nil
        case .string, .int, .number:
            guard value.text.utf8.count <= Self.dedupeByteCountMax else {
                throw .notAValue(reason: "dedupe gave more than \(Self.dedupeByteCountMax) bytes")
            }
            return value.text
        default:
            throw .notAValue(
                reason: "dedupe gives text, a number or null, and this one gave a \(value.kindName)")
        }
    }
}
