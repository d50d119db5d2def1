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
}
