import TestSupport
import Values

/// Makes workflows by chance, out of every kind of step that the language has.
///
/// A new kind of step gets a case in `body(_:_:)`.
struct FlowGenerator {
    static let signals = ["alpha", "beta"]
    private var random: SeededRandom
    /// Workflows of the same tenant that steps may call.
    private var callable: [String] = []

    init(_ random: SeededRandom) { self.random = random }

    /// A workflow file as JSON.
    ///
    /// - Parameters:
    ///   - name: The workflow's.
    ///   - version: Of the file.
    ///   - isScheduled: Whether it also starts by the calendar.
    ///   - callable: Workflows of the same tenant that its steps may call.
    /// - Returns: The file.
    mutating func flow(_ name: String, version: Int, isScheduled: Bool, callable: [String]) -> Value {
        self.callable = callable
        let (count, isSequence) = (random.number(1...6), random.happens(20))
        var steps: [(id: String, value: Object)] = []
        for index in 0..<count {
            let id = "s\(index + 1)"
            var after: [String] = []
            if isSequence {
                after = steps.map(\.id).suffix(1)
            } else if index > 0 {
                after = Array(steps.map(\.id).shuffled(using: &random).prefix(random.pick([0, 1, 1, 2])))
            }
            var step = body(id, after)
            if !isSequence, !after.isEmpty { step["after"] = .array(after.map { .string($0) }) }
            steps.append((id, step))
        }
        var file = Object()
        file["name"] = .string(name)
        file["version"] = .int(Int64(version))
        file["triggers"] = .array(triggers(of: name, isScheduled: isScheduled))
        if random.happens(10) { file["timeout"] = .string(random.pick(["20s", "5m", "2d"])) }
        if random.happens(20) {
            file["concurrency"] = [
                "key": .string(random.pick(["<< trigger.body.fate or 'calendar' >>", "<< 'one' >>"])),
                "limit": .int(Int64(random.number(1...2))),
                "on_limit": .string(random.pick(["queue", "queue", "skip"])),
            ]
        }
        if isSequence {
            file["steps"] = .array(
                steps.map { step in
                    var value = step.value
                    value["id"] = .string(step.id)
                    return .object(value)
                })
        } else {
            var map = Object()
            for step in steps { map[step.id] = .object(step.value) }
            file["steps"] = .object(map)
        }
        if random.happens(25) { file["finally"] = .object(finally()) }
        if random.happens(50) {
            var output: Object = ["first": "<< steps.s1.outcome >>", "order": Self.order]
            if random.happens(30) {
                output["total"] = "<< trigger.body.fate == 'fail' and error('no total') or 0 >>"
            }
            file["output"] = .object(output)
        }
        return .object(file)
    }

    private static let orderText =
        "<< trigger.body.order or trigger.body.scheduled_at or trigger.body.run_id >>"
    private static let order = Value.string(orderText)

    private mutating func triggers(of name: String, isScheduled: Bool) -> [Value] {
        var http: Object = ["type": "http"]
        if random.happens(30) { http["reply"] = "result" }
        // By the name, because another version with another rule would rightly take a repeat for new.
        if name.utf8.reduce(0, { $0 &+ Int($1) }) % 2 == 0 { http["dedupe"] = "<< trigger.body.order >>" }
        var triggers: [Value] = [
            .object(http),
            [
                "type": "webhook", "dedupe": "<< trigger.body.order >>",
                "when": """
                crypto.equals(trigger.headers['x-shop-signature'] or '', \
                crypto.hmac('sha256', secrets.HOOK_SECRET, trigger.raw_body))
                """,
            ],
        ]
        if random.happens(10) {
            var trigger: Object = ["type": "run"]
            trigger["on"] = random.pick([["failed"], ["failed", "cancelled"], ["succeeded"]])
            if !callable.isEmpty, random.happens(50) {
                trigger["workflows"] = [.string(random.pick(callable))]
            }
            triggers.append(.object(trigger))
        }
        if isScheduled {
            triggers.append(
                [
                    "type": "schedule", "cron": .string(random.pick(["*/2 * * * *", "*/5 * * * *"])),
                    "overlap": .string(random.pick(["skip", "queue", "allow"])),
                    "catch_up": .string(random.pick(["none", "one", "all"])),
                ])
        }
        return triggers
    }

    // MARK: - Steps

    /// What comes at the end, which may fail, wait and take long like anything else.
    private mutating func finally() -> Object {
        var steps = Object()
        for number in 1...random.number(1...3) {
            let id = "f\(number)"
            var step: Object
            switch random.number(0...9) {
            case 0: step = ["sleep": .string(random.pick(["20ms", "90s", "7h"]))]
            case 1: step = ["wait": ["signal": .string(Self.signals[0]), "timeout": "1m"]]
            case 2: step = ["lua": "return {outcome = run.outcome, error = run.error}"]
            default: step = request(id)
            }
            // Nothing is undone after the end.
            step["compensate"] = nil
            if random.happens(20) { step["when"] = "run.outcome ~= 'succeeded'" }
            if number > 1, random.happens(60) { step["after"] = .string("f\(number - 1)") }
            steps[id] = .object(step)
        }
        return steps
    }

    private mutating func body(_ id: String, _ after: [String]) -> Object {
        var step: Object
        switch random.number(0...99) {
        case ..<8 where !callable.isEmpty: step = call(id)
        case ..<15: step = group(id)
        case ..<25: step = items(id)
        case ..<58: step = request(id)
        case ..<70:
            step = [
                "lua": "local n = 0 for i = 1, 20 do n = n + i end return {n = n, order = trigger.body.order}"
            ]
        case ..<78: step = ["sleep": .string(random.pick(["20ms", "3s", "90s", "7h", "2d"]))]
        case ..<90: step = wait()
        case ..<94: step = ["reply": ["status": 201, "body": ["run": "<< run.id >>", "order": Self.order]]]
        case ..<97:
            step = [
                "signal": ["run": "<< trigger.body.peer or 'nobody' >>", "name": .string(Self.signals[0])],
                "on_error": "continue",
            ]
        case ..<99:
            step = ["fail": .string("nothing goes on after \(id)"), "when": "trigger.body.fate == 'fail'"]
        default: step = ["finish": ["early": true], "when": "trigger.body.fate == 'finish'"]
        }
        if step["when"] == nil, random.happens(20) {
            let before = after.first.map { "steps.\($0).outcome == 'succeeded'" }
            step["when"] = .string(before ?? "trigger.body.fate ~= 'skip'")
        }
        return step
    }

    /// A group of requests, waits and sleeps, once or for each item.
    private mutating func group(_ id: String) -> Object {
        let strategy = random.happens(50) ? self.strategy() : nil
        let mark = strategy == nil ? "" : "/<< index >>"
        var inner = Object()
        for number in 1...random.number(1...3) {
            let own = "\(id)_\(number)"
            var step: Object
            switch random.number(0...9) {
            case 0: step = ["sleep": .string(random.pick(["20ms", "3s", "7h"]))]
            case 1: step = wait()
            case 2 where strategy == nil: step = items(own)
            default:
                step = request(own, business: "\(id)/\(own)\(mark)")
            }
            if number > 1, random.happens(60) { step["after"] = .string("\(id)_\(number - 1)") }
            inner[own] = .object(step)
        }
        var step: Object = ["steps": .object(inner)]
        if let strategy { step["strategy"] = .object(strategy) }
        if random.happens(40) { step["on_error"] = "continue" }
        return step
    }

    /// A request for each item.
    private mutating func items(_ id: String) -> Object {
        let strategy = strategy()
        var step = request(id, business: "\(id)/<< index >>")
        step["strategy"] = .object(strategy)
        return step
    }

    private mutating func strategy() -> Object {
        let type = random.pick(["fan_out", "fan_out", "scatter", "batch", "race"])
        var strategy: Object = ["type": .string(type)]
        strategy["over"] = random.pick([3, ["a", "b", "c", "d"], "<< trigger.body.order and 2 or 1 >>", 0])
        if type == "batch" { strategy["size"] = .int(Int64(random.number(1...3))) }
        if type != "race", random.happens(20) { strategy["until"] = "index == 2" }
        if type != "batch", strategy["until"] == nil, random.happens(50) {
            strategy["concurrency"] = .int(Int64(random.number(1...3)))
        }
        return strategy
    }

    /// The child's order names the step that asked for it, so that its business is its own.
    private mutating func call(_ id: String) -> Object {
        var step: Object = [
            "call": .string(random.pick(callable)),
            "input": [
                "order": .string(
                    "\(Self.orderText)/<< run.workflow >>.\(id)"),
                "fate": "<< trigger.body.fate >>",
            ],
        ]
        if random.happens(25) { step["detach"] = true }
        if random.happens(50) { step["on_error"] = "continue" }
        return step
    }

    private mutating func request(_ id: String, business: String? = nil) -> Object {
        let business = business ?? id
        var request = call("/\(random.pick(["charges", "mails", "stock"]))", step: business)
        if random.happens(80) { request["auth"] = ["bearer": "<< secrets.PAY_KEY >>"] }
        var step: Object = ["request": .object(request), "retry": .object(retry())]
        var response: Object = ["timeout": .string(random.pick(["500ms", "5s", "30s"]))]
        if random.happens(30) { response["accept"] = [402] }
        if random.happens(30) { response["fail_when"] = "response.body.ok == false" }
        step["response"] = .object(response)
        if random.happens(30) { step["on_error"] = "continue" }
        if random.happens(35) {
            step["compensate"] = [
                "request": .object(call("/undo", step: business + "/undo")),
                "retry": ["max": 100, "delay": "1s", "max_delay": "1m"],
            ]
        }
        return step
    }

    private func call(_ path: String, step: String) -> Object {
        [
            "method": "POST", "url": .string("https://shop.example" + path),
            "body": [
                "tenant": "<< tenant.id >>", "workflow": "<< run.workflow >>", "order": Self.order,
                "step": .string(step),
            ],
        ]
    }

    private mutating func retry() -> Object {
        switch random.number(0...3) {
        case 0: return ["max": .int(Int64(random.number(0...3))), "delay": "200ms", "jitter": "none"]
        case 1: return ["schedule": ["1s", "10s", "5m", "2h", "10h"], "until": "2d"]
        case 2:
            return [
                "max": 12, "delay": "500ms", "backoff": "linear",
                "on": ["connection", "timeout", "5xx", 429],
            ]
        default: return ["max": 20]
        }
    }

    private mutating func wait() -> Object {
        var wait: Object = [:]
        if random.happens(50) {
            wait["signal"] = .string(random.pick(Self.signals))
        } else {
            wait["any"] = .array(Self.signals.map { .string($0) })
        }
        if random.happens(70) {
            wait["timeout"] = .string(random.pick(["2s", "1m", "1d"]))
            wait["on_timeout"] = .string(random.pick(["fail", "reject", "continue"]))
        }
        return ["wait": .object(wait)]
    }
}
