import OpenSSLCrypto
import Ports
import Testing
import Values

@testable import LuaExpressions

@Suite("Evaluating from several threads")
struct ConcurrencyTests {
    @Test("threads share a compiler and each gets its own answers")
    func threadsDoNotMeet() throws {
        let compiler = LuaExpressionCompiler(cryptography: OpenSSLCryptography())
        let shared = try compiler.compile(
            "local t = {} for i = 1, 20 do t[i] = item.n end return #t + item.n")
        let hostile = try compiler.compile("('x'):rep(1e9)")
        let wrong = Counter()
        let threads = (0..<6).map { thread in
            WorkerThread(name: "evaluate") {
                for turn in 0..<100 {
                    let number = Int64(thread * 1000 + turn)
                    let scope = MapScope(["item": ["n": .int(number)]])
                    if (try? shared.evaluate(in: scope)) != .int(number + 20) { wrong.add() }
                    if turn % 20 == 0, (try? hostile.evaluate(in: scope)) != nil { wrong.add() }
                    let own = try? compiler.compile("(item.n .. ':\(number)')")
                    if (try? own?.evaluate(in: scope)) != .string("\(number):\(number)") { wrong.add() }
                }
            }
        }
        threads.forEach { $0.join() }
        #expect(wrong.count == 0)
    }

    @Test("more expressions than a sandbox keeps still evaluate, again and again")
    func manyExpressions() throws {
        let compiler = LuaExpressionCompiler(cryptography: OpenSSLCryptography())
        let all = try (0..<(Sandbox.chunksMax + 60)).map { try compiler.compile("(\($0) + item)") }
        for _ in 0..<2 {
            for (index, expression) in all.enumerated() {
                #expect(try expression.evaluate(in: MapScope(["item": 1])) == .int(Int64(index + 1)))
            }
        }
    }
}

private final class Counter: @unchecked Sendable {
    // Unchecked: `count` is changed under `lock` and read after the threads have ended.
    private let lock = Lock()
    private(set) var count = 0
    func add() { lock.withLock { count += 1 } }
}
