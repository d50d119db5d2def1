import LuaExpressions
import OpenSSLCrypto
import Testing
import Values
import Workflow
import WorkflowYAML

/// What `validate` knows of the names that expressions read.
@Suite("Names in expressions")
struct NameTests {
    /// The steps that the expressions below stand beside.
    private static let head = """
        name: names
        version: 1
        triggers: [{type: http}]
        vars: {currency: eur, rates: {eur: 1}, list: [{a: 1}]}
        steps:
          x: {request: {url: "https://a.example.com"}}
          w: {wait: {signal: go, timeout: 1m}, after: x}
          c: {call: other, after: x}
          g: {steps: {inner: {lua: "1"}}, after: x}
          many: {strategy: {type: fan_out, over: 3}, request: {url: "https://a.example.com"}, after: x}
          last_step:
            after: [x, w, c, g, many]
            lua: |

        """

    private static func problems(_ expression: String) -> [Problem] {
        let lines = expression.split(separator: "\n", omittingEmptySubsequences: false)
        return Reading.workflow(head + lines.map { "      \($0)\n" }.joined()).problems
    }

    @Test(
        "a name that is not there is an error that says what to write",
        arguments: [
            ("vars.curency", "`vars` has no member `curency`", "did you mean `currency`?"),
            ("vars['curency']", "`vars` has no member `curency`", "did you mean `currency`?"),
            ("vars.currency.name", "`vars.currency` is a text, which has no member `name`", nil),
            ("vars.rates.usd", "`vars.rates` has no member `usd`", "there are: eur"),
            ("steps.x.reponse.body", "has no `reponse`", "did you mean `response`?"),
            (
                "steps.x.status", "`steps.x` is a `request` step and has no `status`",
                "steps.x.response.status"
            ),
            ("steps.x.body.id", "has no `body`", "steps.x.response.body"),
            ("steps.x.response.code", "`steps.x.response` has no member `code`", "did you mean `body`?"),
            ("steps.x.error.mesage", "`steps.x.error` has no member `mesage`", "`message`"),
            ("steps.x.result", "has no `result`", "steps.x.output"),
            ("steps.w.response.body", "a `wait` step and has no `response`", "there are"),
            ("steps.w.output", "a `wait` step and has no `output`", "steps.w.signal.body"),
            ("steps.w.signal.data", "`steps.w.signal` has no member `data`", nil),
            ("steps.c.response", "a `call` step and has no `response`", nil),
            ("steps.g.response", "a group and has no `response`", nil),
            (
                "steps.many.response.body", "with a strategy and has no `response`",
                "steps.many.items[1].response"
            ),
            ("x.response.body", "nothing is called `x`", "write `steps.x.response.body`"),
            ("trigger.bdy", "`trigger` has no member `bdy`", "did you mean `body`?"),
            ("trigger.headers['X-Signature']", "in lower case", "trigger.headers['x-signature']"),
            ("run.idd", "`run` has no member `idd`", "did you mean `id`?"),
            ("run.parent.workflow", "`run.parent` has no member `workflow`", nil),
            ("tenant.mail", "`tenant` has no member `mail`", nil),
            ("secret.X", "nothing is called `secret`", "did you mean `secrets`?"),
            ("env.X", "nothing is called `env`", "`secrets.X`"),
            ("os.time()", "nothing is called `os`", "`run.now`"),
            ("string.uper('a')", "there is no function `string.uper`", "did you mean `upper`?"),
            ("math.random()", "there is no function `math.random`", nil),
            ("json.stringify({})", "there is no function `json.stringify`", nil),
            ("tostring.x", "there is no function `tostring.x`", nil),
            ("trigger.raw_body:uper()", "texts have no function `uper`", "did you mean `upper`?"),
            ("item.id", "nothing is called `item`", "in steps with a `strategy`"),
            ("response.status", "nothing is called `response`", "in `fail_when` and `retry.on`"),
            ("last.output", "nothing is called `last`", "one item of a `strategy` runs at a time"),
            ("trigger.body.name | upper", "nothing is called `upper`", "write `x:upper()`"),
            ("trigger.body.name | json", "`json` cannot follow `|`", "write `json.encode(x)`"),
            ("trigger.body.name | url.encode", "`url.encode` cannot follow `|`", "there are no filters"),
            ("pcall(error)", "nothing is called `pcall`", "errors cannot be caught"),
            ("hello", "nothing is called `hello`", "'hello'"),
            ("total = 1 return total", "`total` is not a variable of the expression", "`local total = …`"),
            ("vars = 1 return 1", "an expression cannot change `vars`", nil),
            ("string = 1 return 1", "an expression cannot change `string`", nil),
            (
                "local r = steps.x.response return r.boddy", "`steps.x.response` has no member `boddy`",
                "`body`"
            ),
            ("local f = function(vars) return vars.any end return f(1) and vars.curency", "`curency`", nil),
            ("for i = 1, 2 do local n = i end return n", "nothing is called `n`", nil),
            ("local n = 1\nreturn n +\n  vars.curency", "`curency`", nil),
            (
                "if trigger.body then return 1 else return tigger.body end", "nothing is called `tigger`",
                "`trigger`"
            ),
            ("'a' in [vars.curency]", "`curency`", nil),
            ("{a = vars.curency, [vars.curency] = 1}", "`curency`", nil),
        ])
    func unknownNames(_ expression: String, _ message: String, _ hint: String?) throws {
        let problems = Self.problems(expression)
        let problem = try #require(problems.first, "\(expression) was taken")
        #expect(problem.severity == .error)
        #expect(problem.message.contains(message), "\(expression): \(problem.message)")
        if let hint { #expect(problem.hint?.contains(hint) == true, "\(expression): \(problem.hint ?? "-")") }
    }

    @Test(
        "a name that may be there is taken",
        arguments: [
            "vars.currency", "vars.rates.eur", "vars[trigger.body.key]",
            "steps.x.response.body.any.thing", "steps.x.response.headers['content-type']",
            "steps.x.output.id",
            "steps.x.error.code", "steps.x.attempts", "steps.w.signal.body.x", "steps.w.timed_out",
            "steps.c.run_id", "steps.c.output.id", "steps.g.output", "steps.many.items[1].response.body",
            "steps.many.output", "trigger.body.x.y", "trigger.query.page", "trigger.raw_body:lower()",
            "secrets.ANY", "run.id .. run.now", "tenant.external_customer_id", "string.upper('a')", "math.pi",
            "1 | math.maxinteger", "1 | len('a')",
            "json.null", "time.parse('2026-01-01')", "local x = {} x.any = 1 return x.any",
            "local function f(a, ...) return a.any, ... end return (f({}))",
            "for key, item in pairs(trigger.body) do if item.any then return key end end return null",
            "local t = {null = 1, vars = 2} return t.vars", "local vars = {} return vars.anything",
            "repeat local done = true until done return 1", "goto over ::over:: return 1",
            "local r = steps.x.response r = {} return r.anything", "'a' in ['b', vars.currency]",
            "(function(n) return n end)(1)", "local a <const> = 1 return a",
        ])
    func knownNames(_ expression: String) {
        let problems = Self.problems(expression)
        #expect(problems.isEmpty, "\(expression): \(problems.map(\.message))")
    }

    @Test("the place of a wrong member is its own, in every kind of text")
    func marksTheMember() throws {
        let file = """
            name: names
            version: 1
            triggers: [{type: http}]
            vars: {a: 1}
            steps:
              one: {lua: "vars.a + vars.b"}
              two: {fail: "why: << vars.a >> << vars.c >>"}
            """
        let marks = Reading.workflow(file).problems.map { [$0.mark.line, $0.mark.column] }
        #expect(marks == [[6, 29], [7, 42]])
    }

    @Test("items of a strategy are known where they are, by the name that they have")
    func loopNames() {
        let file = """
            name: names
            version: 1
            triggers: [{type: http}]
            steps:
              each:
                strategy: {type: fan_out, over: 3, as: order, until: steps.each.response.status == 200}
                request: {url: "https://a.example.com/<< order.id >>/<< index >>/<< last.response.body.next >>"}
              all:
                strategy: {type: scatter, over: 3, as: one}
                steps:
                  inner: {lua: "one.id + index"}
                output: << one.id >>
              early: {when: item.id, strategy: {type: fan_out, over: 3}, lua: item.id}
              wrong: {lua: order.id}
              field: {strategy: {type: fan_out, over: 3, as: order}, lua: last.output}
            """
        let problems = Reading.workflow(file).problems
        #expect(problems.map(\.message) == ["item", "order", "last"].map { "nothing is called `\($0)`" })
        #expect(problems.map(\.mark.line) == [13, 14, 15])
    }

    @Test("a trigger reads no steps and no run, and an answer is there to judge it")
    func ownersDiffer() {
        let file = """
            name: names
            version: 1
            triggers: [{type: http, when: run.id == '1', dedupe: << trigger.body.id >>}]
            steps:
              a:
                request: {url: "https://a.example.com"}
                response: {fail_when: response.body.ok == false}
                retry: {on: response.stats == 409}
            """
        #expect(
            Reading.workflow(file).problems.map(\.message) == [
                "nothing is called `run`", "`response` has no member `stats`",
            ])
    }

    @Test("a member that a schema does not declare is a warning, unless the schema takes others")
    func declaredMembers() {
        let file = """
            name: names
            version: 1
            triggers: [{type: http, schema: order}]
            schemas:
              order:
                type: object
                required: [id, note]
                properties: {id: {type: string}, buyer: {$ref: "#/$defs/buyer"}, any: {type: object}}
                allOf: [{properties: {amount: {type: integer}}}]
                $defs: {buyer: {properties: {mail: {type: string}}}}
            steps:
              a:
                request: {url: "https://a.example.com"}
                response: {schema: {properties: {paid: {type: boolean}}}}
              b: {request: {url: "https://a.example.com"}, response: {schema: {additionalProperties: true}}}
              c:
                after: [a, b]
                lua: |
                  return {trigger.body.id, trigger.body.note, trigger.body.amount, trigger.body.buyer.mail,
                    trigger.body.any.x, steps.a.response.body.paid, steps.a.output.paid, steps.b.output.x,
                    trigger.body.idd, trigger.body.buyer.male, steps.a.response.body.payd, steps.a.output.payd}
            """
        let problems = Reading.workflow(file).problems
        #expect(problems.allSatisfy { $0.severity == .warning })
        #expect(
            problems.map(\.message) == [
                "no schema and no trigger declares `idd` of `trigger.body`",
                "no schema and no trigger declares `male` of `trigger.body.buyer`",
                "no schema and no trigger declares `payd` of `steps.a.response.body`",
                "no schema and no trigger declares `payd` of `steps.a.output`",
            ])
    }

    @Test("a part of a dedupe key that a schema does not require is a warning")
    func keyParts() {
        func codes(_ dedupe: String, _ schema: String = "true") -> [String] {
            Reading.workflow(
                "name: a\nversion: 1\ntriggers: [{type: http, dedupe: \"\(dedupe)\", schema: \(schema)}]\n"
                    + "steps: [{lua: '1'}]\n"
            ).problems.map(\.code)
        }
        let schema = "{required: [id, a], properties: {id: true, a: {required: [b], properties: {b: true}}}}"
        #expect(codes("x-<< trigger.body.id >>") == ["MR1907"])
        #expect(codes("x-<< trigger.body.id >>-<< trigger.body.a.b >>", schema) == [])
        #expect(codes("x-<< trigger.body.a >>-<< trigger.body.a.c >>", schema).contains("MR1907"))
        #expect(codes("<< trigger.body.id >>") == [])
        #expect(codes("x-<< trigger.body.id or 'none' >>") == [])
        #expect(codes("<< tostring(trigger.body.id) >>") == ["MR1907"])
        #expect(codes("<< tostring(trigger.body.id) >>", schema) == [])
        #expect(codes("<< crypto.sha256(json.encode({trigger.body.id, trigger.body.a.b})) >>", schema) == [])
        #expect(codes("x-<< trigger.headers['x-id'] >>") == ["MR1907"])
        #expect(codes("x-<< trigger.query.id >>") == ["MR1907"])
        #expect(codes("x-<< time.now() >>") == ["MR1310"])
        #expect(codes("x-<< random.id('a') >>") == ["MR1307"])
    }

    @Test("a header that the guard reads is a good part of a key, and a concurrency key is checked as well")
    func keyPartsWithGuards() {
        func problems(_ trigger: String, _ key: String) -> [String] {
            Reading.workflow(
                "name: a\nversion: 1\ntriggers: [{\(trigger)}]\nconcurrency: {key: \"\(key)\"}\n"
                    + "steps: [{lua: '1'}]\n"
            ).problems.map { "\($0.code): \($0.message)" }
        }
        let key = "a-<< trigger.headers['x-id'] >>"
        let hook = #"type: webhook, when: "trigger.headers['x-id'] ~= null", dedupe: "\#(key)""#
        #expect(problems(hook, "x-<< trigger.headers['x-id'] >>") == [])
        let found = problems(hook, "x-<< trigger.body.customer >>")
        #expect(found.count == 1 && found[0].contains("MR1907"))
        #expect(found.first?.contains("`trigger.body.customer` may be missing") == true)
        #expect(found.first?.contains("`concurrency_key_missing`") == true)
        #expect(problems("type: manual", "x-<< trigger.body.customer >>").count == 1)
        #expect(problems("type: schedule, cron: '@daily'", "x-<< trigger.body.workflow >>") == [])
        #expect(problems(hook, "<< trigger.body.customer >>") == [])
    }

    @Test("what the engine sends along is known as well")
    func eventBodies() {
        let file = """
            name: names
            version: 1
            triggers:
              - {type: hook, event: on_balance_depleted}
              - {type: schedule, cron: "@daily"}
            steps:
              - lua: return {trigger.body.tenant_id, trigger.body.scheduled_at, trigger.body.tenant}
            """
        #expect(
            Reading.workflow(file).problems.map(\.message) == [
                "no schema and no trigger declares `tenant` of `trigger.body`"
            ])
    }

    @Test(
        "words of other systems get a hint that names ours",
        arguments: [
            ("steps: {a: {lua: '1', needs: b}}", "`after: [ids]`"),
            ("steps: {a: {lua: '1', if: 'true'}}", "`when: <expression>`"),
            ("steps: {a: {lua: '1', foreach: [1]}}", "strategy"),
            ("steps: {a: {request: {url: 'https://x', json: {}}}}", "`body`"),
            ("steps: {a: {request: {url: 'https://x'}, timeout: 3s}}", "response: {timeout"),
            ("steps: {a: {request: {url: 'https://x', timeout: 3s}}}", "response: {timeout"),
            ("jobs: {}\nsteps: {a: {lua: '1'}}", "`steps`"),
            ("steps: {a: {fail: '${{ run.id }}'}}", "write << >>"),
            ("steps: {a: {lua: '1', when: '${{ run.id }}'}}", "write << >>"),
        ])
    func foreignWords(_ rest: String, _ hint: String) {
        let problems = Reading.workflow("name: a\nversion: 1\ntriggers: [{type: http}]\n\(rest)\n").problems
        #expect(problems.contains { $0.hint?.contains(hint) == true }, "\(problems.map { "\($0)" })")
    }

    @Test("a server that loads what was deployed before does not look at names")
    func loadingTakesOldNames() {
        let reader = WorkflowReader(
            compiler: LuaExpressionCompiler(cryptography: OpenSSLCryptography()), checksNames: false)
        let file = "name: a\nversion: 1\ntriggers: [{type: http}]\nsteps: [{lua: vars.gone}]\n"
        #expect(DocumentReader.workflow(Array(file.utf8), with: reader).problems.isEmpty)
        #expect(!Reading.workflow(file).problems.isEmpty)
    }

    @Test(
        "a schema that refers to itself many times is read as far as it stays small", .timeLimit(.minutes(1)))
    func schemasThatReferToThemselves() {
        func file(_ count: Int, _ read: String) -> String {
            let members = (0..<count).map { "p\($0): {$ref: '#'}" }.joined(separator: ", ")
            return """
                name: a
                version: 1
                triggers: [{type: http, schema: {properties: {\(members)}}}]
                steps: [{lua: '\(read)'}]
                """
        }
        #expect(Reading.marks(file(1, "trigger.body.p0.p0.p0.q")).map { $0.prefix(6) } == ["MR1906"])
        // Eight ways at each of sixteen levels would be 2^48 schemas.
        #expect(Reading.marks(file(8, "trigger.body.q")).map { $0.prefix(6) } == ["MR1906"])
        #expect(Reading.marks(file(8, "trigger.body.p7.p7.p7.p7.p7.q")).isEmpty)
    }

    @Test("of very many misspelt names all are noted, and the first ones get hints")
    func manyProblems() {
        let names = (0..<2_000).map { "  v\($0): 1" }.joined(separator: "\n")
        let reads = (0..<200).map { "vars.q\($0)" }.joined(separator: ", ")
        let text =
            "name: a\nversion: 1\ntriggers: [{type: http}]\nvars:\n\(names)\nsteps: [{lua: 'return {\(reads)}'}]"
        let problems = Reading.workflow(text).problems
        #expect(problems.count == 200)
        #expect(problems.first?.hint?.hasPrefix("did you mean `v") == true)
        #expect(problems.last?.hint == nil)
    }

    private static let closed = """
        name: names
        version: 1
        triggers:
          - type: http
            schema:
              properties:
                items: {type: array, items: {properties: {sku: {type: string}}}}
                buyer: {properties: {mail: true}}
        vars: {list: [{a: 1}, {b: 2}], plain: [1, 2], deep: {one: {two: [{x: 1}]}}}
        steps:
          find: {request: {url: https://a.example}, response: {schema: {properties: {rows: {type: array, items: {properties: {id: true}}}}}}}
          many: {after: [find], strategy: {type: fan_out, over: << vars.list >>}, request: {url: "https://a.example/<< item.a >>"}}
        """

    /// An expression in a `lua` step, with the member or name that is unknown; nil if nothing is.
    static let paths: [(String, String?)] = [
        ("steps.many.last.output", nil), ("steps.many.last.typo", "typo"),
        ("steps.many.items[1].response.status", nil), ("steps.many.items[1].typo", "typo"),
        ("steps.many.items[1].response.statuz", "statuz"),
        ("trigger.body.items[1].sku", nil), ("trigger.body.items[1].skuu", "skuu"),
        ("trigger.body.items.sku", "sku"), ("trigger.body['items'][1]['skuu']", "skuu"),
        ("vars.list[1].a", nil), ("vars.list[2].b", nil), ("vars.list[1].c", "c"), ("vars.list.a", "a"),
        ("vars.plain[1].x", "x"), ("vars.deep.one.two[1].y", "y"), ("vars.deep.one.two[1].x", nil),
        ("(vars).list[1].c", "c"), ("(vars).lizt", "lizt"), ("(trigger or {}).bdy", "bdy"),
        ("(trigger.body.buyer or {}).mial", "mial"), ("(trigger.body.buyer or {}).mail", nil),
        ("(trigger.body.buyer or vars).mial", nil),
        ("local t = trigger return t.bdy", "bdy"), ("local b = trigger.body or {} return b.byer", "byer"),
        ("local n = 0 for _, x in ipairs(trigger.body.items) do n = n + len(x.sku) end return n", nil),
        ("local n = 0 for _, x in ipairs(trigger.body.items) do n = n + len(x.skuu) end return n", "skuu"),
        ("for k, x in pairs(vars.list) do return x.c end return 1", "c"),
        ("for k, x in pairs(vars.deep) do return x.anything end return 1", nil),
        ("local key = 'a' return vars.list[1][key]", nil), ("#trigger.bdy", "bdy"),
        ("steps.find.response.body.rows[1].id", nil), ("steps.find.response.body.rows[1].idd", "idd"),
        ("trigger.headers.content-type", "type"), ("trigger.headers['content-type']", nil),
        ("trigger.query.page-size", "size"), ("vars.list-item", "item"),
        ("local n = 1 return vars.plain[1]-n", nil),
        ("local size = 1 return #vars.plain-size", nil), ("vars.plain[1]-vars.plain[2]", nil),
    ]

    @Test("paths are followed through lists, brackets, variables and loops", arguments: paths)
    func followed(source: String, unknown: String?) {
        let text = Self.closed + "\n  look: {after: [many], lua: \"\(source)\"}\n"
        let problems = Reading.workflow(text).problems
        guard let unknown else { return #expect(problems.isEmpty, "\(problems)") }
        #expect(problems.count == 1, "\(problems)")
        #expect(problems.first?.message.contains("`\(unknown)`") == true, "\(problems)")
    }

    @Test(
        "the items of a strategy have the members of what they are taken from",
        arguments: [
            ("<< vars.list >>", "item.a", nil), ("<< vars.list >>", "item.c", "c"),
            ("[{a: 1}, {a: 2}]", "item.b", "b"), ("<< trigger.body.items >>", "item.sku", nil),
            ("<< trigger.body.items >>", "item.skuu", "skuu"), ("3", "item", nil),
            ("<< steps.find.response.body.rows >>", "item.idd", "idd"),
            ("\"<< trigger.body.items or {} >>\"", "item.skuu", nil),
        ] as [(String, String, String?)])
    func items(over: String, source: String, unknown: String?) {
        let step = "{after: [find], strategy: {type: fan_out, over: \(over)}, lua: '\(source)'}"
        let problems = Reading.workflow(Self.closed + "\n  look: \(step)\n").problems
        #expect(problems.count == (unknown == nil ? 0 : 1), "\(problems)")
        if let unknown { #expect(problems.first?.message.contains("`\(unknown)`") == true, "\(problems)") }
    }

    @Test("a constant that a deployment replaces is checked with its new members")
    func replacedConstants() throws {
        let text =
            "name: a\nversion: 1\ntriggers: [{type: http}]\nvars: {limits: {}}\nsteps: [{lua: vars.limits.eur}]\n"
        #expect(Reading.workflow(text).problems.map(\.code) == ["MR1308"])
        var reader = Reading.reader
        reader.replacements = ["limits": ["eur": 5], "other": 1]
        let (definition, problems) = DocumentReader.workflow(Array(text.utf8), with: reader)
        #expect(problems.isEmpty && definition?.vars == ["limits": ["eur": 5]])
    }
}
