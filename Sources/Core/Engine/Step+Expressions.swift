import Ports
import Workflow

extension Step {
    /// All expressions that the step evaluates in its own scope; not those of inner steps.
    var expressions: [any CompiledExpression] {
        var all: [any CompiledExpression] = []
        if let guardExpression { all.append(guardExpression) }
        for condition in retry.on {
            if case .expression(let expression) = condition { all.append(expression) }
        }
        if let strategy { all += strategy.over.expressions }
        switch action {
        case .request(let request): all += request.expressions
        case .compute(let expression): all.append(expression)
        case .fail(let template), .finish(let template): all += template.expressions
        case .sleep(.until(let template)): all += template.expressions
        case .wait(let rule):
            if case .until(let template)? = rule.timeout { all += template.expressions }
        case .sleep, .group: break
        case .call(let call): all += call.workflow.expressions + (call.input?.expressions ?? [])
        case .signal(let signal):
            all += signal.run.expressions + signal.name.expressions + (signal.body?.expressions ?? [])
        case .reply(let reply):
            all += reply.headers.flatMap(\.value.expressions) + (reply.body?.expressions ?? [])
        }
        return all
    }
}

extension Step.Action {
    /// How expressions see the body of the response.
    var reading: ResponseRule.Reading {
        if case .request(let template) = self { return template.response.reading }
        return .typed
    }
}

extension RequestTemplate {
    fileprivate var expressions: [any CompiledExpression] {
        var templates = [method, url] + headers.map(\.value) + query.templates
        if let body { templates.append(body) }
        if let idempotencyKey { templates.append(idempotencyKey) }
        switch authorization {
        case .bearer(let token): templates.append(token)
        case .basic(let username, let password): templates += [username, password]
        case nil: break
        }
        return templates.flatMap(\.expressions) + (response.failWhen.map { [$0] } ?? [])
    }
}

extension SchemaViolation {
    /// Path and message in one line.
    package var text: String { path.isEmpty ? message : "\(path): \(message)" }
}
