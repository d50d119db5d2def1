package import Ports
package import Values

/// A tenant's workflow, checked, with all expressions compiled.
///
/// `docs/workflow-format.md` defines the format. A definition never changes; a run is pinned to the digest of
/// the source that it started with.
package struct WorkflowDefinition: Sendable {
    /// Lowercase kebab-case, at most 64 characters.
    package var name: String
    /// The author's own number, at least 1; the server counts deployments separately.
    package var version: Int
    package var description: String?
    package var triggers: [Trigger]
    /// The value of `vars` in expressions; an object.
    package var vars: Value
    package var schemas: [String: JSONSchema]
    package var root: StepScope
    /// The steps that run after all others, whatever their outcome; nil for none.
    package var finally: StepGroup?
    /// The run's result; null if the file gives none.
    package var output: Template?
    /// The secrets that any expression of the file names, sorted.
    package var secretNames: [String]
    /// Longest time from a run's start before it fails; nil for no bound.
    package var timeout: Duration?
    /// The bound on concurrent runs; nil for none.
    package var concurrency: ConcurrencyRule?

    package init(
        name: String, version: Int, description: String?, triggers: [Trigger], vars: Value,
        schemas: [String: JSONSchema], root: StepScope, output: Template?, secretNames: [String],
        timeout: Duration? = nil
    ) {
        self.timeout = timeout
        self.name = name
        self.version = version
        self.description = description
        self.triggers = triggers
        self.vars = vars
        self.schemas = schemas
        self.root = root
        self.output = output
        self.secretNames = secretNames
    }

    /// The file's own steps, followed by the `finally` steps as a group with that name.
    ///
    /// A run's journal and view use these names.
    package var stepTree: StepScope {
        guard let finally else { return root }
        return StepScope(steps: root.steps + [Step(id: "finally", action: .group(finally))])
    }
}

/// A trigger, which starts runs.
package struct Trigger: Sendable {
    package enum Kind: Sendable, Hashable {
        /// A request with an API key of the tenant.
        case http
        /// A request of anyone to the workflow's public address.
        case webhook
        /// An `event` of the engine; for the operator's tenant only.
        case hook(event: String)
        /// A person, by a button or a command.
        case manual
        /// A time of a calendar.
        case schedule(ScheduleRule)
        /// The end of another run of the tenant.
        case run(RunTriggerRule)

        /// The `type` in the file format.
        package var name: String {
            switch self {
            case .http: "http"
            case .webhook: "webhook"
            case .hook: "hook"
            case .manual: "manual"
            case .schedule: "schedule"
            case .run: "run"
            }
        }
    }

    package var kind: Kind
    /// The schema of `trigger.body`; another body is refused with 422 and starts nothing.
    package var schema: JSONSchema?
    package var guardExpression: (any CompiledExpression)?
    /// Evaluates to the key for which a second delivery starts nothing; null for no key.
    package var dedupe: Template?
    /// Whether the request is held until the run ends.
    package var repliesWithResult: Bool

    package init(
        kind: Kind, schema: JSONSchema? = nil, guardExpression: (any CompiledExpression)? = nil,
        dedupe: Template? = nil, repliesWithResult: Bool = false
    ) {
        self.kind = kind
        self.schema = schema
        self.guardExpression = guardExpression
        self.dedupe = dedupe
        self.repliesWithResult = repliesWithResult
    }
}

/// The ends of other runs that start a run.
package struct RunTriggerRule: Sendable, Hashable {
    package static let outcomes = ["succeeded", "failed", "cancelled"]

    /// At least one of ``outcomes``.
    package var outcomes: [String]
    /// The names of the workflows whose runs count; empty for all of the tenant except the workflow itself.
    package var workflows: [String]

    package init(outcomes: [String], workflows: [String] = []) {
        self.outcomes = outcomes
        self.workflows = workflows
    }

    package func admits(workflow: String, outcome: String) -> Bool {
        outcomes.contains(outcome)
            && (workflows.isEmpty || workflows.contains { $0.hasSameBytes(as: workflow) })
    }
}

/// When a schedule starts runs; see `docs/workflow-format.md`.
package struct ScheduleRule: Sendable, Hashable {
    /// What to do while the previous run is not finished.
    package enum Overlap: String, Sendable { case skip, queue, allow }
    /// What to do about times that passed while no process ran.
    package enum CatchUp: String, Sendable { case none, one, all }

    /// Five fields (minute, hour, day of month, month, day of week), or an alias such as `@daily`.
    package var cron: String
    /// A name of the time zone database; `UTC` by default.
    package var timeZone: String
    package var overlap: Overlap
    package var catchUp: CatchUp

    package init(cron: String, timeZone: String = "UTC", overlap: Overlap = .skip, catchUp: CatchUp = .one) {
        self.cron = cron
        self.timeZone = timeZone
        self.overlap = overlap
        self.catchUp = catchUp
    }
}

/// Steps that can refer to each other: the file's own, or those of a group.
package struct StepScope: Sendable {
    /// In file order.
    package var steps: [Step]

    package init(steps: [Step]) { self.steps = steps }

    package func index(of id: String) -> Int? { steps.firstIndex { $0.id.hasSameBytes(as: id) } }
}

/// One step as its file describes it.
package struct Step: Sendable {
    package enum ErrorRule: String, Sendable { case fail, `continue` }

    /// The action of a step; exactly one.
    package enum Action: Sendable {
        case request(RequestTemplate)
        /// A pure computation, whose value is the step's output.
        case compute(any CompiledExpression)
        /// Ends the run as failed with this message.
        case fail(Template)
        /// Ends the run as succeeded with this output.
        case finish(Template)
        /// Sleeps with a durable timer; free of charge.
        case sleep(SleepRule)
        /// Waits for a signal; free of charge.
        case wait(WaitRule)
        /// Starts a run of another workflow and, unless detached, waits for its end.
        case call(CallTemplate)
        /// Sends a signal to another run of the tenant.
        case signal(SignalTemplate)
        /// Responds to the caller of a `reply: result` trigger, once.
        case reply(ReplyTemplate)
        /// Runs its own steps.
        case group(StepGroup)
    }

    /// `[a-z][a-z0-9_]*`, unique in its scope.
    package var id: String
    package var description: String?
    /// Indexes, in the same scope, of the steps that must settle first.
    package var after: [Int]
    /// Whether the step is in a list, where a false guard skips only its own step.
    package var isListed = false
    package var guardExpression: (any CompiledExpression)?
    package var retry: RetryPolicy
    package var onError: ErrorRule
    package var action: Action
    /// The items for which it runs; nil to run once.
    package var strategy: Strategy?
    /// The request that undoes the step if the run fails or is cancelled later; nil for none.
    package var compensation: Compensation?

    package init(
        id: String, description: String? = nil, after: [Int] = [],
        guardExpression: (any CompiledExpression)? = nil, retry: RetryPolicy = .none,
        onError: ErrorRule = .fail, action: Action
    ) {
        self.id = id
        self.description = description
        self.after = after
        self.guardExpression = guardExpression
        self.retry = retry
        self.onError = onError
        self.action = action
    }
}

/// The request that undoes a succeeded step after the run failed or was cancelled.
package struct Compensation: Sendable {
    package var request: RequestTemplate
    package var retry: RetryPolicy

    package init(request: RequestTemplate, retry: RetryPolicy = .requestDefault) {
        self.request = request
        self.retry = retry
    }
}

/// How long a step sleeps, or how long it waits at most.
package enum SleepRule: Sendable {
    case duration(Duration)
    /// An RFC 3339 time, seconds since 1970 as a number, or a duration as text; a past time ends it at once.
    case until(Template)
}

/// What a step waits for.
package struct WaitRule: Sendable {
    package enum TimeoutRule: String, Sendable {
        /// The step fails with `timed_out`.
        case fail
        /// The step is skipped, and so are the steps that wait for it only.
        case reject
        /// The step succeeds, with `timed_out` true and no signal.
        case `continue`
    }

    /// The signals, 1 to 20; any of them ends the wait.
    package var signals: [String]
    /// Nil to wait without bound.
    package var timeout: SleepRule?
    package var onTimeout: TimeoutRule

    package init(signals: [String], timeout: SleepRule? = nil, onTimeout: TimeoutRule = .fail) {
        self.signals = signals
        self.timeout = timeout
        self.onTimeout = onTimeout
    }
}

/// A signal to another run.
package struct SignalTemplate: Sendable {
    package var run: Template
    package var name: Template
    package var body: Template?

    package init(run: Template, name: Template, body: Template? = nil) {
        self.run = run
        self.name = name
        self.body = body
    }
}

/// A response to the caller that waits for the run.
package struct ReplyTemplate: Sendable {
    /// 200 to 599.
    package var status: Int
    package var headers: [RequestTemplate.Field]
    package var body: Template?

    package init(status: Int = 200, headers: [RequestTemplate.Field] = [], body: Template? = nil) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}

/// One HTTP request with its expressions.
///
/// A class, because every attempt of every run uses one. If it were copied, threads would contend for the
/// reference counts of its members.
package final class RequestTemplate: Sendable {
    package enum Authorization: Sendable {
        case bearer(Template)
        case basic(username: Template, password: Template)
    }

    package struct Field: Sendable {
        package var name: String
        package var value: Template

        package init(name: String, value: Template) {
            self.name = name
            self.value = value
        }
    }

    /// The parameters that a request adds to its URL.
    package enum Query: Sendable {
        /// Each value is a text or a list of texts.
        case fields([Field])
        /// Evaluates to the whole map.
        case expression(Template)

        package var templates: [Template] {
            switch self {
            case .fields(let fields): fields.map(\.value)
            case .expression(let template): [template]
            }
        }
    }

    /// A constant in upper case, or an expression.
    package let method: Template
    package let url: Template
    package let headers: [Field]
    package let query: Query
    package let body: Template?
    package let authorization: Authorization?
    /// Replaces the engine's own key.
    package let idempotencyKey: Template?
    /// Secrets that the request itself names; each may be bound to hosts.
    package let secretNames: [String]
    package let response: ResponseRule

    package init(
        method: Template, url: Template, headers: [Field] = [], query: Query = .fields([]),
        body: Template? = nil,
        authorization: Authorization? = nil, idempotencyKey: Template? = nil, secretNames: [String] = [],
        response: ResponseRule = ResponseRule()
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.query = query
        self.body = body
        self.authorization = authorization
        self.idempotencyKey = idempotencyKey
        self.secretNames = secretNames
        self.response = response
    }
}

/// When a response counts as a success.
package struct ResponseRule: Sendable {
    /// The time of one attempt, from its start to the last byte received.
    package var timeout: Duration
    /// How expressions see the body of a response.
    package enum Reading: String, Sendable {
        /// By its content type; an unreadable body fails the attempt.
        case typed
        /// As text, or as bytes, whatever its content type.
        case text, bytes
    }

    /// The schema of the body; another body fails the step without a retry.
    package var schema: JSONSchema?
    package var reading = Reading.typed
    /// Statuses that count as a success in addition to 2xx.
    package var accept: [Int]
    /// Sees the response as `response`; true fails the attempt.
    package var failWhen: (any CompiledExpression)?
    /// Places whose values can be used but are never shown.
    package var sensitive: [SensitivePath] = []

    package init(
        timeout: Duration = .seconds(30), schema: JSONSchema? = nil, accept: [Int] = [],
        failWhen: (any CompiledExpression)? = nil
    ) {
        self.timeout = timeout
        self.schema = schema
        self.accept = accept
        self.failWhen = failWhen
    }
}

/// Which failed attempts are retried, and when.
package struct RetryPolicy: Sendable {
    package enum Condition: Sendable {
        /// No connection, or one that broke off.
        case connection
        case timeout
        case status(Int)
        /// `5` for 500 to 599.
        case statusClass(Int)
        /// Sees the response as `response`; true retries.
        case expression(any CompiledExpression)
    }

    package enum Backoff: String, Sendable { case exponential, linear, fixed }
    package enum Jitter: String, Sendable { case none, full }

    /// Attempts after the first, 0 to 100.
    package var max: Int
    package var on: [Condition]
    package var delay: Duration
    package var backoff: Backoff
    package var maxDelay: Duration
    package var jitter: Jitter
    /// The delays in order, which replace `delay` and `backoff`; empty for none.
    ///
    /// `max` is their number then.
    package var schedule: [Duration] = []
    /// Longest time from the end of the first attempt to the start of the last; nil for no bound.
    package var until: Duration?

    package init(
        max: Int, on: [Condition], delay: Duration, backoff: Backoff, maxDelay: Duration, jitter: Jitter
    ) {
        self.max = max
        self.on = on
        self.delay = delay
        self.backoff = backoff
        self.maxDelay = maxDelay
        self.jitter = jitter
    }

    package static let none = RetryPolicy(
        max: 0, on: [], delay: .zero, backoff: .fixed, maxDelay: .zero, jitter: .none)

    /// The default for requests: 4 retries, from 1 s, doubling up to 5 min.
    package static let requestDefault = RetryPolicy(
        max: 4,
        on: [
            .connection, .timeout, .status(408), .status(425), .status(429), .statusClass(5),
        ],
        delay: .seconds(1), backoff: .exponential, maxDelay: .seconds(300), jitter: .full)
}

extension Step {
    /// The key of the file format for the step's action.
    package var kindName: String { action.kindName }
}

extension Step.Action {
    /// The key of the file format.
    package var kindName: String {
        switch self {
        case .request: "request"
        case .compute: "lua"
        case .fail: "fail"
        case .finish: "finish"
        case .sleep: "sleep"
        case .wait: "wait"
        case .call: "call"
        case .signal: "signal"
        case .reply: "reply"
        case .group: "steps"
        }
    }
}
