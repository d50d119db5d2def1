package import Ports
package import Values

/// A workflow as a tenant wrote it, checked, with every expression compiled.
///
/// The format is that of `docs/workflow-format.md`. A definition never changes; a run is pinned to
/// the digest of the source that it started with.
package struct WorkflowDefinition: Sendable {
    /// Lowercase kebab-case, at most 64 characters.
    package var name: String
    /// The author's own number, at least 1; the server counts deployments apart from it.
    package var version: Int
    package var description: String?
    package var triggers: [Trigger]
    /// What expressions read as `vars`; an object.
    package var vars: Value
    package var schemas: [String: JSONSchema]
    package var root: StepScope
    /// What runs once all else is over, whatever has become of it; nil for nothing.
    package var finally: StepGroup?
    /// The run's result; null where the file gives none.
    package var output: Template?
    /// Secrets that any expression of the file names, sorted.
    package var secretNames: [String]
    /// From the start of a run to its end by failure; nil for no bound.
    package var timeout: Duration?
    /// How many of its runs go at once; nil for no bound.
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

    /// The file's own steps, and behind them the `finally` steps as a group of that name: as a run's journal and view
    /// name them.
    package var stepTree: StepScope {
        guard let finally else { return root }
        return StepScope(steps: root.steps + [Step(id: "finally", action: .group(finally))])
    }
}

/// What starts a run.
package struct Trigger: Sendable {
    package enum Kind: Sendable, Hashable {
        /// A request with an API key of the tenant.
        case http
        /// Anyone who posts to the workflow's public address.
        case webhook
        /// The engine raises `event`; operator tenant only.
        case hook(event: String)
        /// A person presses the button or types the command.
        case manual
        /// A point in time that a calendar gives.
        case schedule(ScheduleRule)
        /// The end of another run of the tenant.
        case run(RunTriggerRule)

        /// The `type` of the format.
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
    /// What `trigger.body` must be; a body that does not fit is refused with 422 and starts nothing.
    package var schema: JSONSchema?
    package var guardExpression: (any CompiledExpression)?
    /// Gives the key under which a second delivery starts nothing; null for no key.
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

/// Which ends of other runs start one.
package struct RunTriggerRule: Sendable, Hashable {
    package static let outcomes = ["succeeded", "failed", "cancelled"]

    /// At least one of ``outcomes``.
    package var outcomes: [String]
    /// Names of the workflows whose runs are meant; empty for all of the tenant's but the workflow itself.
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
    /// What happens while the run before is not over.
    package enum Overlap: String, Sendable { case skip, queue, allow }
    /// What happens to times that passed while no process ran.
    package enum CatchUp: String, Sendable { case none, one, all }

    /// Five fields: minute, hour, day of month, month, day of week.
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

/// Steps that see each other: the file's own, or those of a group.
package struct StepScope: Sendable {
    /// In the order of the file.
    package var steps: [Step]

    package init(steps: [Step]) { self.steps = steps }

    package func index(of id: String) -> Int? { steps.firstIndex { $0.id.hasSameBytes(as: id) } }
}

/// One step as its file describes it.
package struct Step: Sendable {
    package enum ErrorRule: String, Sendable { case fail, `continue` }

    /// What a step does; exactly one.
    package enum Action: Sendable {
        case request(RequestTemplate)
        /// A pure computation; its value is the step's output.
        case compute(any CompiledExpression)
        /// Ends the run as failed, with this text.
        case fail(Template)
        /// Ends the run as succeeded, with this value as its output.
        case finish(Template)
        /// A durable timer; free of charge.
        case sleep(SleepRule)
        /// Until a signal comes; free of charge.
        case wait(WaitRule)
        /// Starts a run of another workflow, and waits for its end.
        case call(CallTemplate)
        /// Sends a signal to another run of the tenant.
        case signal(SignalTemplate)
        /// Answers the caller of a `reply: result` trigger, once.
        case reply(ReplyTemplate)
        /// Runs steps of its own.
        case group(StepGroup)
    }

    /// `[a-z][a-z0-9_]*`, unique in its scope.
    package var id: String
    package var description: String?
    /// Positions, in the same scope, of the steps that must settle first.
    package var after: [Int]
    /// Whether it stands in a list, where a false guard leaves out its own step alone.
    package var isListed = false
    package var guardExpression: (any CompiledExpression)?
    package var retry: RetryPolicy
    package var onError: ErrorRule
    package var action: Action
    /// How often and for what it runs; nil for once.
    package var strategy: Strategy?
    /// What undoes the step, should the run fail after it; nil for nothing.
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

/// What undoes a step that succeeded in a run that then failed or was cancelled.
package struct Compensation: Sendable {
    package var request: RequestTemplate
    package var retry: RetryPolicy

    package init(request: RequestTemplate, retry: RetryPolicy = .requestDefault) {
        self.request = request
        self.retry = retry
    }
}

/// How long a step sleeps, or waits at most.
package enum SleepRule: Sendable {
    case duration(Duration)
    /// An RFC 3339 time, seconds since 1970 as a number, or a duration as text; in the past it ends at once.
    case until(Template)
}

/// What a step waits for.
package struct WaitRule: Sendable {
    package enum TimeoutRule: String, Sendable {
        /// The step fails with `timed_out`.
        case fail
        /// The step is skipped, and with it what only waits for it.
        case reject
        /// The step succeeds, with `timed_out` true and no signal.
        case `continue`
    }

    /// Any of these ends the waiting; 1 to 20.
    package var signals: [String]
    /// Nil for as long as it takes.
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

/// An answer to whoever waits for the run.
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

/// One HTTP call, with expressions where the file has them.
///
/// A class, because every attempt of every run looks at one: copied member by member,
/// its counts are what the threads wait for each other for.
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

    /// What a request adds to the query of its URL.
    package enum Query: Sendable {
        /// Each a text or a list of texts.
        case fields([Field])
        /// Gives the whole map.
        case expression(Template)

        package var templates: [Template] {
            switch self {
            case .fields(let fields): fields.map(\.value)
            case .expression(let template): [template]
            }
        }
    }

    /// Upper case; constant or an expression.
    package let method: Template
    package let url: Template
    package let headers: [Field]
    package let query: Query
    package let body: Template?
    package let authorization: Authorization?
    /// In place of the engine's own `run/step` key.
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

/// When an answer counts as a success.
package struct ResponseRule: Sendable {
    /// For one attempt, from the first byte sent to the last received.
    package var timeout: Duration
    /// How expressions see the body of an answer.
    package enum Reading: String, Sendable {
        /// By its content type; JSON that cannot be read fails the attempt.
        case typed
        /// As it came, whatever its type says.
        case text, bytes
    }

    /// What the body must be; another body fails the step for good.
    package var schema: JSONSchema?
    package var reading = Reading.typed
    /// Statuses that succeed beside 2xx.
    package var accept: [Int]
    /// Sees the answer as `response`; true fails the attempt.
    package var failWhen: (any CompiledExpression)?
    /// Places whose values are used, but never shown.
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

/// Which failed attempts are repeated, and when.
package struct RetryPolicy: Sendable {
    package enum Condition: Sendable {
        /// No connection, or one that broke off.
        case connection
        case timeout
        case status(Int)
        /// `5` for 500 to 599.
        case statusClass(Int)
        /// Sees the answer as `response`; true repeats.
        case expression(any CompiledExpression)
    }

    package enum Backoff: String, Sendable { case exponential, linear, fixed }
    package enum Jitter: String, Sendable { case none, full }

    /// Tries after the first, 0 to 100.
    package var max: Int
    package var on: [Condition]
    package var delay: Duration
    package var backoff: Backoff
    package var maxDelay: Duration
    package var jitter: Jitter
    /// The waiting times one after the other, in place of `delay` and `backoff`; empty for none.
    ///
    /// `max` is then their number.
    package var schedule: [Duration] = []
    /// No try begins later than this after the end of the first; nil for no bound.
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

    /// What a request does whose step says nothing: 4 more tries, from 1 s, doubling up to 5 min.
    package static let requestDefault = RetryPolicy(
        max: 4,
        on: [
            .connection, .timeout, .status(408), .status(425), .status(429), .statusClass(5),
        ],
        delay: .seconds(1), backoff: .exponential, maxDelay: .seconds(300), jitter: .full)
}
