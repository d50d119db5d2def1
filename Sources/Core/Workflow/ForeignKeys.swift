/// Keys of other systems, and keys of ours in the wrong place, with what to write.
///
/// GitHub Actions, Argo, Tekton, Airflow, Ansible, Kestra, n8n, Step Functions, Temporal and the Serverless Workflow
/// language use these words. A hint from here goes before one by spelling: `if` is near to `id` and means `when`.
enum ForeignKeys {
    /// The hint for a key in a kind of map, such as `a step`; nil if the word is not known.
    static func hint(for name: String, in kind: String) -> String? {
        hints[kind]?[name] ?? (kind.hasSuffix(" trigger") ? hints["a trigger"]?[name] : nil)
    }

    /// By the kind of map, then by the word.
    static let hints: [String: [String: String]] = tables.mapValues { table in
        var hints: [String: String] = [:]
        for (words, hint) in table { for word in words.split(separator: " ") { hints[String(word)] = hint } }
        return hints
    }

    private static let tables: [String: [(words: String, hint: String)]] = [
        "a workflow": workflow, "a step": step, "a request": request, "a trigger": triggerKeys,
        "retry": retry,
        "response": response, "a strategy": strategy, "a wait": wait, "concurrency": concurrency,
        "auth": auth, "a call": call,
    ]

    /// The hint for a word of other systems where a choice of ours stands.
    static func choice(_ word: String, as kind: String) -> String? {
        choices[kind]?.first { $0.words.split(separator: " ").contains(word[...]) }?.hint
    }

    static let choices: [String: [(words: String, hint: String)]] = [
        "a type of trigger": [
            ("cron timer interval scheduled calendar every once", "write `type: schedule` and `cron`"),
            (
                "api rest request endpoint form",
                "write `type: http` (with a key) or `type: webhook` (for anyone)"
            ),
            ("hooks callback event stripe github", "write `type: webhook`, and check the sender in `when`"),
            ("workflow flow on_success on_failure workflow_run completed", "write `type: run`"),
            ("button user dispatch workflow_dispatch", "write `type: manual`"),
            (
                "call subflow workflow_call",
                "a workflow that is called by `call` needs no trigger of its own kind"
            ),
        ],
        "a type of strategy": [
            ("parallel foreach for_each map matrix each all sequential", "write `type: fan_out`"),
            ("loop while until repeat do_while", "write `type: fan_out` and `until: <expression>`"),
            ("any first", "write `type: race`"),
            ("continue settled all_settled", "write `type: scatter`"),
            ("chunk page window", "write `type: batch` and `size`"),
        ],
        "an outcome": [
            ("success ok done completed", "write `succeeded`"),
            ("failure error errored timeout timed_out crashed", "write `failed`"),
            ("cancel canceled aborted killed terminated", "write `cancelled`"),
            ("always all any finished", "write `on: [succeeded, failed, cancelled]`"),
        ],
        "a value of on_limit": [
            (
                "cancel reject drop fail ignore discard cancel_in_progress",
                "write `skip`; a running run is never cancelled"
            ),
            ("wait enqueue", "write `queue`"),
        ],
        "a value of on_error": [
            ("ignore skip next warn", "write `continue`"), ("stop abort raise", "write `fail`"),
            ("retry", "write `retry: {max: 3}`"),
        ],
        "a value of overlap": [
            ("forbid Forbid drop", "write `skip`"), ("Allow parallel", "write `allow`"),
            ("replace Replace cancel", "a running run is never cancelled: write `skip` or `queue`"),
        ],
        "a value of catch_up": [("false no skip off", "write `none`"), ("true yes on", "write `all`")],
        "a reply": [
            ("sync wait true response", "write `reply: result`"), ("async false", "leave `reply` out"),
        ],
        "a backoff": [("constant none", "write `fixed`"), ("expo exp", "write `exponential`")],
    ]

    /// The hint for a kind of map where another value stands, such as `retry: 3`.
    static func form(_ kind: String) -> String? {
        forms[kind] ?? (kind.hasSuffix(" trigger") ? trigger : nil)
    }

    private static let trigger = "write `triggers: [{type: webhook}]`"
    private static let forms: [String: String] = [
        "retry": "write `retry: {max: 3}`", "concurrency": "write `concurrency: {key: all, limit: 3}`",
        "a request": "write `request: {url: https://…}`",
        "a strategy": "write `strategy: {type: fan_out, over: …}`",
        "response": "write `response: {timeout: 30s}`",
        "compensate": "write `compensate: {request: {url: https://…}}`",
        "auth": "write `auth: {bearer: << secrets.TOKEN >>}`", "a reply": "write `reply: {status: 200}`",
        "a signal": "write `signal: {run: << … >>, name: paid}`",
        "a step": "write `id: {request: {url: https://…}}`",
    ]

    private static let workflow: [(String, String)] = [
        ("on trigger events when start", "write `triggers`, a list: `triggers: [{type: webhook}]`"),
        ("jobs tasks nodes states dag stages activities actions flow do pipeline", "write `steps`"),
        (
            "env variables parameters params inputs constants config globals",
            "constants stand under `vars`; what a caller sends is `trigger.body`"
        ),
        ("secrets", "secrets are set by `millrace secrets set NAME` and read as `secrets.NAME`"),
        (
            "schedule cron interval schedules startAt",
            "write `triggers: [{type: schedule, cron: \"0 6 * * *\"}]`"
        ),
        ("webhook webhooks", "write `triggers: [{type: webhook, when: …}]`"),
        ("id title key workflow kind", "write `name`"),
        ("outputs result return returns", "write `output`"),
        (
            "defaults default retry retries retryPolicy",
            "each step has its own `retry`, beside its `request`"
        ),
        (
            "on_failure on_error onError catch errors listeners",
            "write `finally`, and ask there for `run.outcome`"
        ),
        ("on_exit onExit after_execution cleanup always", "write `finally`"),
        (
            "on_success hooks notifications",
            "write another workflow with `triggers: [{type: run, on: [succeeded]}]`"
        ),
        ("deadline timeout_seconds timeoutSeconds execution_timeout", "write `timeout: 1h`"),
        ("max_parallel parallelism max_active_runs queue", "write `concurrency: {key: all, limit: 3}`"),
        ("schema types definitions components", "write `schemas`, a map by name"),
        ("labels tags metadata namespace apiVersion spec annotations", "there is `description` for people"),
    ]

    private static let step: [(String, String)] = [
        (
            "needs depends_on dependsOn depends requires dependencies runAfter upstream",
            "write `after: [ids]`"
        ),
        ("next then goto transition", "the later step names this one: `after: [id]`"),
        ("if condition conditions unless guard filter", "write `when: <expression>`"),
        ("else switch choice choices cases branch case", "write a step for each case, each with its `when`"),
        (
            "foreach for_each forEach for loop with_items withItems matrix map each",
            "write `strategy: {type: fan_out, over: …}`"
        ),
        ("parallel branches all", "steps without `after` between them run at the same time"),
        ("race any first", "write `strategy: {type: race, over: …}`"),
        (
            "while until repeat do_while do_until poll",
            "write `strategy: {type: fan_out, over: 100, until: …}`"
        ),
        (
            "timeout timeoutSeconds timeout_seconds timeoutInSeconds deadline execution_timeout",
            "a request has `response: {timeout: 30s}` beside it, a `wait` its own "
                + "`timeout`, and the whole workflow "
                + "`timeout`"
        ),
        (
            "attempts max_attempts maxAttempts max_retries maxRetries tries retries retryPolicy retry_policy",
            "write `retry: {max: 3}`"
        ),
        (
            "http fetch uses action url method type template task activity invoke image container",
            "write `request: {method: POST, url: https://…}`"
        ),
        (
            "headers header body json data payload form params parameters query auth token",
            "it belongs under `request`: `request: {url: …, body: …}`"
        ),
        (
            "run script code set shell command cmd exec assign js python",
            "a computation is a `lua` step; a program is called by a `request`"
        ),
        (
            "with inputs args arguments vars env environment",
            "a `call` step has `input`, a request `body`; constants stand under `vars`"
        ),
        (
            "catch on_failure onFailure onError continue-on-error continue_on_error "
                + "continueOnError ignore_errors rescue",
            "write `on_error: continue`, and ask for `steps.<id>.outcome` later"
        ),
        ("on_success onSuccess", "the later step names this one: `after: [id]`"),
        ("rollback undo saga compensation", "write `compensate: {request: …}`"),
        ("always cleanup ensure", "write a step under the workflow's `finally`"),
        ("delay pause sleep_for duration timer", "write a `sleep` step: `sleep: 5m`"),
        ("wait_for waitFor await approval suspend event", "write `wait: {signal: name, timeout: 1d}`"),
        ("name title label", "a step's name is its id; a longer text is its `description`"),
        ("workflow subflow sub_workflow child flow workflow_id", "write `call: <workflow>`"),
        ("return exit stop terminate end", "write `finish: <output>`, or `fail: <message>`"),
        ("raise throw error", "write `fail: <message>`"),
        ("respond", "write `reply: {status: 200, body: …}`"),
        ("tasks jobs do block group", "a group of steps is written under `steps`"),
        (
            "outputs result register store",
            "a step's result is `steps.<id>.output`; the workflow has `output`"
        ),
        ("secrets", "read `secrets.NAME` in an expression"),
        ("over", "write `strategy: {type: fan_out, over: …}`"),
        ("cache memoize", "a step that succeeded is never sent again within its run"),
    ]

    private static let request: [(String, String)] = [
        ("json data payload content json_body", "write `body`: a map or a list is sent as JSON"),
        (
            "form form_data formData",
            "write `body`, and the header `Content-Type: application/x-www-form-urlencoded`"
        ),
        ("files multipart", "write `body`, and the header `Content-Type: multipart/form-data`"),
        ("params parameters qs query_string queryParams", "write `query`"),
        ("retry retries", "`retry` stands beside the `request`"),
        ("response schema expect", "`response` stands beside the `request`: `response: {schema: …}`"),
        ("timeout timeoutSeconds timeout_seconds", "write `response: {timeout: 30s}` beside the `request`"),
        ("bearer token authorization", "write `auth: {bearer: << secrets.TOKEN >>}`"),
        ("basic username password user", "write `auth: {basic: {username: …, password: …}}`"),
        ("uri endpoint href", "write `url`"),
        ("type verb", "write `method`"),
        ("header", "write `headers`, a map"),
        (
            "idempotencyKey idempotency-key",
            "write `idempotency_key`; without it Millrace sends one of its own"
        ),
        ("fail_when accept", "it stands under `response`, beside the `request`"),
        ("follow_redirects followRedirects", "redirects are not followed; the step sees the 3xx"),
        ("verify insecure verify_ssl", "certificates are always checked"),
    ]

    private static let triggerKeys: [(String, String)] = [
        ("if filter condition conditions guard", "write `when: <expression>`"),
        ("tz zone", "write `timezone: Europe/Berlin`"),
        ("schedule expression crontab", "write `cron: \"0 6 * * *\"`"),
        ("interval every rate", "write `cron: \"*/15 * * * *\"`"),
        ("cron", "it belongs to a trigger of `type: schedule`"),
        ("event", "it belongs to a trigger of `type: hook`"),
        ("timezone", "it belongs to a trigger of `type: schedule`"),
        ("events status states", "a trigger of `type: run` has `on: [succeeded, failed, cancelled]`"),
        ("workflow flow flows", "a trigger of `type: run` has `workflows: [name]`"),
        ("path url endpoint route", "the address is `/hooks/{tenant}/{workflow}`; `deploy` prints it"),
        ("method methods", "a trigger is called by POST"),
        ("secret token signature auth", "check it in `when`, as with crypto.equals(crypto.hmac(…), …)"),
        (
            "key idempotency_key unique deduplication dedup dedupe_key",
            "write `dedupe: << trigger.body.id >>`"
        ),
        ("input inputs params parameters body", "declare the body by `schema`"),
        ("response respond wait sync", "write `reply: result`"),
        ("name id", "a trigger has no name"),
        ("backfill misfire", "write `catch_up: none`, `one` or `all`"),
    ]

    private static let retry: [(String, String)] = [
        (
            "attempts max_attempts maxAttempts count limit times retries max_retries maxRetries",
            "write `max`, the number of repeats"
        ),
        (
            "interval wait initial initial_interval initialInterval backoff_seconds intervalSeconds min",
            "write `delay`, the pause before the first repeat"
        ),
        ("maxDelay max_interval maximumInterval cap longest", "write `max_delay`"),
        ("factor multiplier backoffRate backoff_rate exponential", "write `backoff: exponential`"),
        (
            "if when retry_on retryOn condition",
            "write `on: [connection, 5xx]`, or an expression that reads `response`"
        ),
        ("timeout", "write `response: {timeout: 30s}` beside the `request`"),
    ]

    private static let response: [(String, String)] = [
        (
            "status expect ok success codes status_codes",
            "write `accept: [200, 404]`, or `fail_when: <expression>`"
        ),
        (
            "type format parse content_type",
            "write `body: text` or `body: bytes`; else the content type decides"
        ),
        ("headers", "read `steps.<id>.response.headers`"),
        ("json", "write `schema`"),
        ("secret secrets mask redact hide", "write `sensitive: [body.token]`"),
    ]

    private static let strategy: [(String, String)] = [
        ("items list array in matrix for_each foreach with", "write `over: << … >>`"),
        (
            "max_parallel max-parallel parallel parallelism limit batch_size maxConcurrency",
            "write `concurrency: 5`"
        ),
        ("item var name variable item_name", "write `as: name`"),
        ("fail-fast fail_fast on_error", "`on_error` stands beside the `strategy`"),
        ("while condition", "write `until: <expression>`"),
        ("kind mode", "write `type: fan_out`, `batch`, `scatter` or `race`"),
    ]

    private static let wait: [(String, String)] = [
        ("event name for on", "write `signal: name`"),
        ("duration seconds minutes hours time until", "a pause is a `sleep` step: `sleep: 5m`"),
        ("deadline expires ttl", "write `timeout: 1d`"),
    ]

    private static let concurrency: [(String, String)] = [
        ("group name", "write `key: << trigger.body.account >>`"),
        ("max count parallelism", "write `limit`"),
        (
            "cancel-in-progress cancel_in_progress strategy policy behavior",
            "write `on_limit: queue` or `skip`"
        ),
    ]

    private static let auth: [(String, String)] = [
        ("token type", "write `bearer: << secrets.TOKEN >>`"),
        ("username password user", "write `basic: {username: …, password: …}`"),
        ("header api_key apikey", "write it under `headers` of the request"),
    ]

    private static let call: [(String, String)] = [
        ("input inputs with args", "`input` stands beside `call`"),
        ("name id flow", "write `call: name`"),
    ]
}
