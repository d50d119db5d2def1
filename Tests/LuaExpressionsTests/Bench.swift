import OpenSSLCrypto
import Ports
import Testing
import Values

@testable import LuaExpressions

/// A scope over a plain map; `secrets` refuses what it does not hold.
struct MapScope: ExpressionScope {
    var members: Object
    var secrets: [String: String] = [:]
    var now: Instant?

    init(_ value: Value = [:], secrets: [String: String] = [:], now: Instant? = nil) {
        members = value.object ?? Object()
        self.secrets = secrets
        self.now = now
    }

    var memberNames: [String] { members.members.map(\.name) }

    func member(_ name: String) throws(ExpressionFailure) -> ScopeNode? {
        if name == "secrets" { return .branch(SecretBranch(secrets: secrets)) }
        if name == "steps", let steps = members["steps"] { return .branch(MapBranch(value: steps)) }
        return members[name].map { .value($0) }
    }
}

private struct SecretBranch: ScopeBranch {
    let secrets: [String: String]
    var memberNames: [String] { [] }

    func member(_ name: String) throws(ExpressionFailure) -> ScopeNode? {
        guard let secret = secrets[name] else { throw .secretMissing(name: name) }
        return .value(.string(secret))
    }
}

private struct MapBranch: ScopeBranch {
    let value: Value
    var memberNames: [String] { value.object?.members.map(\.name) ?? [] }
    func member(_ name: String) throws(ExpressionFailure) -> ScopeNode? { value[name].map { .value($0) } }
}

/// The compiler under test and short ways to ask it.
enum Bench {
    /// Has the limits of every server except the time, because a debug build on a loaded machine is slow.
    ///
    /// Work must be bounded by its units, not only by its time.
    static let compiler: LuaExpressionCompiler = {
        var limits = LuaLimits.standard
        limits.time = .seconds(20)
        return LuaExpressionCompiler(cryptography: OpenSSLCryptography(), limits: limits)
    }()

    static let document: Value = [
        "trigger": [
            "body": [
                "n": 7, "text": "pay", "flag": true, "nothing": nil, "amount": .number("12.50"),
                "long": .number("12345678901234567890"), "items": ["a", "b", nil, "d"],
                "map": ["z": 1, "a": 2, "m": 3], "empty": [], "none": [:],
                "deep": ["list": [["k": "v"]]],
            ],
            "headers": ["x-id": "77"],
        ],
        "steps": ["a": ["outcome": "succeeded", "response": ["status": 200, "body": ["id": 9]]]],
    ]

    /// ``document`` with a list that is too large to be returned many times.
    static let documentWithBigList: Value = {
        var object = document.object ?? Object()
        let list = Value.array((0..<2000).map { .int($0) })
        object["trigger"] = .object(
            Object((object["trigger"]?.object?.members ?? []) + [.init(name: "big", value: list)]))
        return .object(object)
    }()

    static func evaluate(
        _ source: String, _ scope: MapScope = MapScope(document)
    ) throws -> Value {
        try compiler.compile(source).evaluate(in: scope)
    }

    /// The message of a script that must raise.
    static func raised(_ source: String, _ scope: MapScope = MapScope(document)) throws -> String {
        do {
            let value = try evaluate(source, scope)
            Issue.record("\(source) gave \(value)")
            return ""
        } catch ExpressionFailure.raised(let message) {
            return message
        }
    }

    static func problem(_ source: String) -> ExpressionProblem? {
        do throws(ExpressionProblem) {
            _ = try compiler.compile(source)
            return nil
        } catch {
            return error
        }
    }
}
