import CLuaSandbox
import Ports
import Values

/// Reads the tape into which C serialised a Lua table (`values.c` defines the format).
struct TapeReader {
    private let bytes: UnsafeRawPointer
    private var offset = 0
    private let evaluation: Evaluation
    /// Bytes that containers of the scope may still add to the result; one may occur many times.
    private var copiedLeft: Int

    init(bytes: UnsafeRawPointer, evaluation: Evaluation, copiedBytesMax: Int) {
        self.bytes = bytes
        self.evaluation = evaluation
        copiedLeft = copiedBytesMax
    }

    mutating func value() throws(ExpressionFailure) -> Value {
        switch read(UInt8.self) {
        case UInt8(ascii: "t"): return true
        case UInt8(ascii: "f"): return false
        case UInt8(ascii: "i"): return .int(read(Int64.self))
        case UInt8(ascii: "d"): return try evaluation.value(of: read(Double.self))
        case UInt8(ascii: "n"):
            return .number(String(decoding: bytes(Int(read(UInt32.self))), as: UTF8.self))
        case UInt8(ascii: "s"): return Value(utf8: bytes(Int(read(UInt32.self))))
        case UInt8(ascii: "p"): return try scoped(read(Int32.self))
        case UInt8(ascii: "a"): return try list()
        case UInt8(ascii: "o"): return try map()
        default: return nil
        }
    }

    private mutating func read<Number: BitwiseCopyable>(_ type: Number.Type) -> Number {
        defer { offset += MemoryLayout<Number>.size }
        return bytes.loadUnaligned(fromByteOffset: offset, as: type)
    }

    private mutating func bytes(_ count: Int) -> UnsafeRawBufferPointer {
        defer { offset += count }
        return UnsafeRawBufferPointer(start: bytes + offset, count: count)
    }

    private mutating func name() throws(ExpressionFailure) -> String {
        guard let name = String(validating: bytes(Int(read(UInt32.self))), as: UTF8.self) else {
            throw .notAValue(reason: "a map with a name that is not UTF-8")
        }
        return name
    }

    private mutating func list() throws(ExpressionFailure) -> Value {
        var items: [Value] = []
        for _ in 0..<read(UInt32.self) { items.append(try value()) }
        return .array(items)
    }

    /// Reads a map with its members sorted by their names' bytes, because Lua's own order varies between
    /// states.
    private mutating func map() throws(ExpressionFailure) -> Value {
        var members: [Object.Member] = []
        for _ in 0..<read(UInt32.self) { members.append(.init(name: try name(), value: try value())) }
        members.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        return .object(Object(members))
    }

    private mutating func scoped(_ index: Int32) throws(ExpressionFailure) -> Value {
        let value = try evaluation.node(index).materialised()
        copiedLeft -= value.weight(upTo: copiedLeft + 1)
        if copiedLeft < 0 { throw .memoryExceeded }
        return value
    }
}

extension Value {
    /// The approximate serialised size in bytes; counting stops once it exceeds `limit`.
    func weight(upTo limit: Int) -> Int {
        switch self {
        case .null, .bool, .int: return 8
        case .number(let text), .string(let text): return 8 + text.utf8.count
        case .bytes(let bytes): return 8 + bytes.count
        case .array(let items):
            var sum = 8
            for item in items where sum <= limit { sum += item.weight(upTo: limit - sum) }
            return sum
        case .object(let object):
            var sum = 8
            for member in object.members where sum <= limit {
                sum += member.name.utf8.count + member.value.weight(upTo: limit - sum)
            }
            return sum
        }
    }
}
