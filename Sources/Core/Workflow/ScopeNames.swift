import Values

/// The names in the scope of an expression, as `docs/workflow-format.md` lists them.
///
/// The engine provides these names; a test compares both.
package enum ScopeNames {
    package static let trigger = ["type", "headers", "query", "body", "raw_body"]
    package static let run = ["id", "workflow", "now", "token", "signal_url", "parent"]
    /// The further members of `run` in `finally` steps.
    package static let ending = ["outcome", "error", "output", "compensation"]
    package static let runError = ["code", "message", "step"]
    package static let tenant = ["id", "name", "external_customer_id"]
    package static let response = ["status", "headers", "body"]
    package static let error = ["code", "message"]

    /// The members of `trigger.body` for the end of another run.
    package static let runEnd = [
        "run_id", "workflow", "version", "outcome", "error", "output", "compensation", "finally", "trigger",
        "parent", "started_at", "finished_at",
    ]

    /// The members of an engine event's body.
    static func body(ofEvent event: String) -> [String] {
        switch event {
        case "on_purchase_requested":
            [
                "purchase_id", "tenant_id", "minutes", "amount_minor", "amount", "currency",
                "external_customer_id", "success_url", "cancel_url",
            ]
        default: ["tenant_id", "balance_ms", "external_customer_id"]
        }
    }

    /// The members of `steps.<id>` for a kind of step, without those of a strategy.
    package static func members(ofStep kind: String) -> [String] {
        let own: [String] =
            switch kind {
            case "request": ["output", "response"]
            case "lua", "steps": ["output"]
            case "call": ["output", "run_id"]
            case "wait": ["signal", "timed_out"]
            default: []
            }
        return ["outcome", "error", "attempts"] + own
    }

    /// The members of `steps.<id>` for a step with a strategy, once its items are settled.
    package static let strategyMembers = [
        "outcome", "error", "attempts", "output", "items", "last", "winner",
    ]
}

extension ScopeNames {
    /// Hints for root names of other systems.
    static let foreignRoots: [String: String] = [
        "os": "for the time call `time.now()`; `run.now` is the start of the run",
        "now": "call `time.now()`; `run.now` is the start of the run",
        "uuid": "call `random.id('label')`: the same in each attempt, and nobody can guess it",
        "Date": "call `time.now()`; `run.now` is the start of the run",
        "io": "expressions have no files and no network: a `request` step fetches things",
        "print": "return the value: every step's result is kept and shown",
        "pcall": "errors cannot be caught: ask before, as in `if x ~= null then … end`",
        "xpcall": "errors cannot be caught: ask before, as in `if x ~= null then … end`",
        "require": "there are no modules: the functions are listed in the workflow format",
        "load": "code cannot be made from text", "loadstring": "code cannot be made from text",
        "dofile": "code cannot be read from files",
        "setmetatable": "there are no metatables", "getmetatable": "there are no metatables",
        "coroutine": "there are no coroutines", "_G": "there is no table of globals",
        "env": "constants are read as `vars.x`, secrets as `secrets.X`",
        "process": "constants are read as `vars.x`, secrets as `secrets.X`",
        "ENV": "constants are read as `vars.x`, secrets as `secrets.X`",
        "config": "constants stand under `vars:` and are read as `vars.x`",
        "inputs": "read `trigger.body`", "input": "read `trigger.body`", "params": "read `trigger.body`",
        "args": "read `trigger.body`", "payload": "read `trigger.body`", "event": "read `trigger.body`",
        "data": "read `trigger.body`", "body": "read `trigger.body`, or `steps.<id>.response.body`",
        "request": "read `trigger.body` and `trigger.headers`", "req": "read `trigger.body`",
        "headers": "read `trigger.headers`, or `steps.<id>.response.headers`",
        "query": "read `trigger.query`", "outputs": "read `steps.<id>.output`",
        "needs": "read `steps.<id>.output`", "tasks": "read `steps.<id>.output`",
        "jobs": "read `steps.<id>.output`", "nodes": "read `steps.<id>.output`",
        "result": "read `steps.<id>.output`", "output": "read `steps.<id>.output`",
        "workflow": "read `run.workflow`", "execution": "read `run.id`", "context": "read `run`",
        "ctx": "read `run`", "loop": "read `item` and `index`", "each": "read `item` and `index`",
        "None": "write `null`", "undefined": "write `null`", "True": "write `true`",
        "False": "write `false`", "JSON": "write `json.encode` and `json.decode`",
        "fromJson": "write `json.decode`", "toJson": "write `json.encode`",
        "parseInt": "write `tonumber`", "length": "write `len(x)`", "size": "write `len(x)`",
        "strlen": "write `len(x)`",
    ]

    /// Hints for filters of other systems, `x | name`.
    static let foreignFilters: [String: String] = [
        "default": "write `x or 'other'`", "json": "write `json.encode(x)`",
        "tojson": "write `json.encode(x)`", "upper": "write `x:upper()`", "lower": "write `x:lower()`",
        "upcase": "write `x:upper()`", "downcase": "write `x:lower()`", "trim": "write `x:trim()`",
        "strip": "write `x:trim()`", "length": "write `len(x)`", "size": "write `len(x)`",
        "join": "write `table.concat(x, ', ')`", "split": "write `x:split(',')`",
        "int": "write `tonumber(x)`", "string": "write `tostring(x)`", "first": "write `x[1]`",
        "last": "write `x[#x]`", "urlencode": "write `url.encode(x)`",
        "b64encode": "write `base64.encode(x)`", "b64decode": "write `base64.decode(x)`",
        "round": "write `math.floor(x + 0.5)`",
    ]

    /// A hint for a member that a step does not have.
    static func foreignMember(_ name: String, of step: String, kind: String) -> String? {
        switch name {
        case "status", "status_code", "statusCode":
            kind == "request"
                ? "read `steps.\(step).response.status`, or `steps.\(step).outcome`"
                : "read `steps.\(step).outcome`"
        case "body", "headers", "json": "read `steps.\(step).response.\(name == "json" ? "body" : name)`"
        case "result", "outputs", "value", "data", "output":
            switch kind {
            case "wait": "read `steps.\(step).signal.body`"
            case "sleep": "a `sleep` has no result: read `steps.\(step).outcome`"
            default: "read `steps.\(step).output`"
            }
        case "state", "succeeded", "failed", "success", "conclusion": "read `steps.\(step).outcome`"
        case "code", "message": "read `steps.\(step).error.\(name)`"
        default: nil
        }
    }

    /// A hint for a key of other systems, by the kind of map that contains it.
    static func foreignKey(_ name: String, in kind: String) -> String? {
        switch (kind, name) {
        case ("a step", "needs"), ("a step", "depends_on"), ("a step", "dependsOn"), ("a step", "depends"),
            ("a step", "requires"):
            "write `after: [ids]`"
        case ("a step", "if"), ("a step", "condition"), ("a step", "unless"): "write `when: <expression>`"
        case ("a step", "foreach"), ("a step", "for_each"), ("a step", "forEach"), ("a step", "loop"),
            ("a step", "with_items"), ("a step", "matrix"), ("a step", "map"), ("a step", "parallel"):
            "write `strategy: {type: fan_out, over: …}`"
        case ("a step", "timeout"), ("a request", "timeout"), ("a step", "timeoutSeconds"):
            "write `response: {timeout: 30s}` beside the `request`"
        case ("a step", "attempts"), ("a step", "max_attempts"), ("a step", "tries"):
            "write `retry: {max: 3}`"
        case ("a step", "http"), ("a step", "fetch"), ("a step", "uses"), ("a step", "action"),
            ("a step", "url"), ("a step", "method"), ("a step", "type"):
            "write `request: {method: POST, url: https://…}`"
        case ("a step", "run"), ("a step", "script"), ("a step", "code"), ("a step", "set"):
            "a computation is a `lua` step; a program is called by a `request`"
        case ("a step", "with"), ("a step", "inputs"): "a `call` step has `input`, a request `body`"
        case ("a step", "catch"), ("a step", "on_failure"), ("a step", "continue-on-error"),
            ("a step", "continue_on_error"), ("a step", "ignore_errors"):
            "write `on_error: continue`, and ask for `steps.<id>.outcome` later"
        case ("a step", "delay"), ("a step", "pause"): "write a `sleep` step"
        case ("a step", "name"): "a step's name is its id; a longer text is its `description`"
        case ("a step", "workflow"), ("a step", "subflow"): "write `call: <workflow>`"
        case ("a request", "json"), ("a request", "data"), ("a request", "payload"):
            "write `body`: a map or a list is sent as JSON"
        case ("a request", "form"), ("a request", "form_data"):
            "write `body`, and the header `Content-Type: application/x-www-form-urlencoded`"
        case ("a request", "params"), ("a request", "parameters"), ("a request", "qs"): "write `query`"
        case ("a request", "retry"), ("a request", "retries"): "`retry` stands beside the `request`"
        case ("a request", "response"): "`response` stands beside the `request`"
        case ("a request", "bearer"), ("a request", "token"): "write `auth: {bearer: …}`"
        case ("a workflow", "on"), ("a workflow", "trigger"): "write `triggers`, a list"
        case ("a workflow", "jobs"), ("a workflow", "tasks"), ("a workflow", "nodes"): "write `steps`"
        case ("a workflow", "env"), ("a workflow", "variables"), ("a workflow", "inputs"):
            "constants stand under `vars`; what a caller sends is `trigger.body`"
        case ("a workflow", "schedule"), ("a workflow", "cron"):
            "write `triggers: [{type: schedule, cron: …}]`"
        case ("a workflow", "id"): "write `name`"
        case ("a workflow", "outputs"): "write `output`"
        default: nil
        }
    }
}
