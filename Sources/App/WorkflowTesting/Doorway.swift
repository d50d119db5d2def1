import Engine
import Ingress
import OpenSSLCrypto
import Ports
import Storage
import Values
import Workflow

/// Brings a case's trigger before the workflow's triggers, as the server would.
struct Doorway {
    /// What the server would have said.
    enum Verdict {
        case accepted(RunStart, dedupe: String?)
        case refused
        case guardFailed(String)
        case unfit(String)

        var word: String {
            switch self {
            case .accepted: "accepted"
            case .refused: "refused"
            case .guardFailed: "guard_failed"
            case .unfit: "unfit"
            }
        }
    }

    let one: TestCase
    let plan: RunPlan
    let secrets: OpenSecrets
    let cryptography: OpenSSLCryptography

    private var kind: String {
        if let kind = one.trigger.kind { return kind }
        let kinds = plan.definition.triggers.map(\.kind.name)
        return kinds.first { $0 == "http" } ?? kinds.first ?? "http"
    }

    func verdict() -> Verdict {
        let request = self.request
        let kind = self.kind
        // A child is asked no guard and no schema.
        if kind == "call" { return .accepted(start, dedupe: nil) }
        let triggers = plan.definition.triggers.filter { trigger in
            guard trigger.kind.name == kind else { return false }
            switch trigger.kind {
            case .hook(let event): return one.trigger.event.map { $0 == event } ?? true
            case .run(let rule):
                guard let workflow = one.trigger.body?["workflow"]?.string,
                    let outcome = one.trigger.body?["outcome"]?.string
                else { return true }
                return rule.admits(workflow: workflow, outcome: outcome)
            default: return true
            }
        }
        guard ["http", "webhook", "manual"].contains(kind) else { return raised(kind, triggers, request) }
        let tenant = Tenant(
            tenant: one.tenant.id, name: one.tenant.name, externalCustomerID: one.tenant.externalCustomerID,
            createdAt: one.at)
        let call = TriggerCall(
            tenant: tenant, workflow: plan.definition.name, source: kind == "webhook" ? .publicAddress : .key,
            request: request)
        let admission = Admission(call: call, plan: plan, secrets: secrets)
        switch admission.verdict(among: triggers) {
        case .admitted(let trigger, let dedupe, let body):
            var start = self.start(trigger.kind.name, request)
            start.headers = Ingress.kept(request.headers)
            start.parsedBody = body
            return .accepted(start, dedupe: dedupe)
        case .malformedBody(let reason), .keyMissing(let reason): return .unfit(reason)
        case .refused: return .refused
        case .guardFailed(let message): return .guardFailed(message)
        case .unfit(let violations): return .unfit(violations.joined(separator: "; "))
        }
    }

    /// What the engine itself starts: a guard and no request.
    private func raised(_ kind: String, _ triggers: [Trigger], _ request: InboundRequest) -> Verdict {
        let start = self.start(kind, request)
        let scope = TriggerScope(
            trigger: TriggerView(start), vars: plan.definition.vars,
            tenant: TenantFacts(
                tenant: one.tenant.id, name: one.tenant.name,
                externalCustomerID: one.tenant.externalCustomerID),
            secrets: secrets, now: one.at)
        for trigger in triggers {
            do throws(ExpressionFailure) {
                guard let expression = trigger.guardExpression else { return .accepted(start, dedupe: nil) }
                if try GuardReading.isTrue(try expression.evaluate(in: scope)) {
                    return .accepted(start, dedupe: nil)
                }
            } catch {
                return .guardFailed(error.message)
            }
        }
        return .refused
    }

    /// What the run would start with, were the triggers not asked.
    var start: RunStart {
        var start = self.start(kind, request)
        start.headers = Ingress.kept(start.headers)
        return start
    }

    private func start(_ kind: String, _ request: InboundRequest) -> RunStart {
        RunStart(
            triggerKind: kind, headers: request.headers, query: request.query, body: request.body, at: one.at,
            tenantName: one.tenant.name, externalCustomerID: one.tenant.externalCustomerID)
    }

    // MARK: - The request

    private var request: InboundRequest {
        var headers = one.trigger.headers
        let isForm = headers["content-type"]?.hasPrefix("application/x-www-form-urlencoded") ?? false
        let body: [UInt8]
        if let raw = one.trigger.raw {
            body = raw
        } else if let value = one.trigger.body {
            body = isForm ? Array(FormEncoding.encode(value).utf8) : JSON.bytes(value)
            if headers["content-type"] == nil {
                headers.append(HTTPHeader("content-type", "application/json"))
            }
        } else {
            body = []
        }
        if let header = signatureHeader(over: body) { headers.append(header) }
        return InboundRequest(
            method: "POST", path: "/", segments: [], query: one.trigger.query, headers: headers, body: body,
            peer: "192.0.2.1", receivedAt: one.at)
    }

    private func signatureHeader(over body: [UInt8]) -> HTTPHeader? {
        guard let signature = one.trigger.signature else { return nil }
        let key = Array(signature.secret.utf8)
        switch signature.scheme {
        case .stripe(let at):
            let seconds = (at ?? one.at).seconds
            let signed = Array("\(seconds).".utf8) + body
            let digest = cryptography.hmac("sha256", key: key, data: signed) ?? []
            return HTTPHeader("stripe-signature", "t=\(seconds),v1=\(Hex.encode(digest))")
        case .hmac(let header, let algorithm, let prefix, let isBase64):
            let digest = cryptography.hmac(algorithm, key: key, data: body) ?? []
            return HTTPHeader(header, prefix + (isBase64 ? Base64.encode(digest) : Hex.encode(digest)))
        }
    }
}
