/// What compiling and evaluating one expression may use.
package struct LuaLimits: Sendable, Hashable {
    /// Units of work of one evaluation: about one virtual-machine instruction each.
    package var workUnits: Int64
    /// Bytes that one evaluation may hold at once, beyond what its sandbox held before.
    package var memoryBytes: Int64
    /// Time of one evaluation; time in which the thread was not scheduled does not count past its half.
    package var time: Duration
    /// Bytes of an expression's source.
    package var sourceBytesMax: Int
    /// Brackets and blocks open at once in a source.
    package var sourceDepthMax: Int
    /// Values in one result.
    package var resultNodesMax: Int32
    /// Levels of tables in a result; at most 60.
    package var resultDepthMax: Int32

    package static let standard = LuaLimits(
        workUnits: 2_000_000, memoryBytes: 2 << 20, time: .milliseconds(50), sourceBytesMax: 64 << 10,
        sourceDepthMax: 100, resultNodesMax: 10_000, resultDepthMax: 16)
}
