/// The limits of compiling and evaluating one expression.
package struct LuaLimits: Sendable, Hashable {
    /// Most work units of one evaluation; one is about one instruction of the virtual machine.
    package var workUnits: Int64
    /// Most bytes that one evaluation may hold at once, beyond what its sandbox held before.
    package var memoryBytes: Int64
    /// Longest time of one evaluation; time in which the thread was not scheduled counts for half of it at
    /// most.
    package var time: Duration
    /// Most bytes of an expression's source.
    package var sourceBytesMax: Int
    /// Most brackets and blocks open at once in a source.
    package var sourceDepthMax: Int
    /// Most values in one result.
    package var resultNodesMax: Int32
    /// Most levels of tables in a result; at most 60.
    package var resultDepthMax: Int32

    package static let standard = LuaLimits(
        workUnits: 2_000_000, memoryBytes: 2 << 20, time: .milliseconds(50), sourceBytesMax: 64 << 10,
        sourceDepthMax: 100, resultNodesMax: 10_000, resultDepthMax: 16)
}
