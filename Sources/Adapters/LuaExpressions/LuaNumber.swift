import CLuaSandbox
import Values

/// A number as expressions compare it: exactly, whatever its representation.
struct LuaNumber: Comparable {
    private enum Content {
        case integer(Int64)
        case decimal(DecimalNumber)
        case infinite(isNegative: Bool)
        /// Not a number; unequal to everything, itself included.
        case none
    }

    private let content: Content

    init?(_ value: Value) {
        switch value {
        case .int(let number): content = .integer(number)
        case .number: content = DecimalNumber(value).map { .decimal($0) } ?? .none
        default: return nil
        }
    }

    init(_ number: Double) {
        if let value = Value(double: number), let own = LuaNumber(value) {
            self = own
        } else {
            content = number.isNaN ? .none : .infinite(isNegative: number < 0)
        }
    }

    static func == (left: LuaNumber, right: LuaNumber) -> Bool { left.order(against: right) == 0 }
    static func < (left: LuaNumber, right: LuaNumber) -> Bool { left.order(against: right) == -1 }

    func equals(_ other: LuaNumber) -> Bool { self == other }
    func isLess(_ other: LuaNumber) -> Bool { self < other }
    func isLessOrEqual(_ other: LuaNumber) -> Bool { (-1...0).contains(order(against: other)) }

    /// -1, 0 or 1 if this number is below, equal to or above the other; 2 if one of them is NaN.
    private func order(against other: LuaNumber) -> Int {
        switch (content, other.content) {
        case (.none, _), (_, .none): return 2
        case (.integer(let left), .integer(let right)): return left < right ? -1 : left == right ? 0 : 1
        case (.infinite(let left), .infinite(let right)): return left == right ? 0 : left ? -1 : 1
        case (.infinite(let isNegative), _): return isNegative ? -1 : 1
        case (_, .infinite(let isNegative)): return isNegative ? 1 : -1
        default:
            let (left, right) = (decimal, other.decimal)
            return left == right ? 0 : left < right ? -1 : 1
        }
    }

    private var decimal: DecimalNumber {
        switch content {
        case .integer(let number): DecimalNumber(text: String(number))
        case .decimal(let number): number
        default: DecimalNumber(text: "0")
        }
    }
}

// MARK: - The C side

extension LuaNumber {
    private init?(_ value: millrace_lua_value) {
        switch Int(value.kind) {
        case MILLRACE_LUA_INTEGER: self.init(.int(value.integer))
        case MILLRACE_LUA_FLOAT: self.init(value.number)
        case MILLRACE_LUA_DECIMAL:
            let bytes = UnsafeBufferPointer(start: value.bytes, count: value.byte_count)
            self.init(.number(String(decoding: bytes, as: UTF8.self)))
        default: return nil
        }
    }

    static func order(_ left: millrace_lua_value, _ right: millrace_lua_value) -> Int32 {
        guard let first = LuaNumber(left), let second = LuaNumber(right) else { return 2 }
        return Int32(first.order(against: second))
    }

    /// Writes a number from outside: as a float if the float has the same text, otherwise as a decimal.
    static func write(_ text: String, _ lua: OpaquePointer, _ out: HostCallbacks.Out) {
        if let number = Double(text), case .number(let own)? = Value(double: number),
            own.hasSameBytes(as: text)
        {
            out.pointee.kind = Int32(MILLRACE_LUA_FLOAT)
            out.pointee.number = number
            return
        }
        var text = text
        text.withUTF8 { millrace_lua_put_decimal(lua, out, $0.baseAddress, $0.count) }
    }

    /// Reads a number that a script spells: as an integer or a float if that is exact, otherwise as a
    /// decimal.
    static func read(
        _ bytes: UnsafeBufferPointer<UInt8>, _ lua: OpaquePointer, _ out: HostCallbacks.Out
    ) -> Int32 {
        let text = jsonText(String(decoding: bytes, as: UTF8.self))
        let exact = DecimalNumber(text: text)
        if !text.utf8.contains(where: { ".eE".utf8.contains($0) }), let number = Int64(text) {
            out.pointee.kind = Int32(MILLRACE_LUA_INTEGER)
            out.pointee.integer = number
        } else if let number = Double(text), number.isFinite, exact == DecimalNumber(text: number.description)
        {
            out.pointee.kind = Int32(MILLRACE_LUA_FLOAT)
            out.pointee.number = number
        } else {
            write(text, lua, out)
        }
        return Int32(MILLRACE_LUA_OK)
    }

    /// A decimal number in Lua's syntax, rewritten as JSON: no blanks, no plus sign, no leading zeros.
    private static func jsonText(_ text: String) -> String {
        var rest = Substring(text.filter { !$0.isWhitespace })
        let isNegative = rest.first == "-"
        if isNegative || rest.first == "+" { rest = rest.dropFirst() }
        let mantissa = rest.prefix { $0 != "e" && $0 != "E" }
        let power = rest.dropFirst(mantissa.count)
        let parts = mantissa.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        let whole = parts.first?.drop { $0 == "0" } ?? ""
        let fraction = parts.count > 1 ? parts[1] : ""
        return (isNegative ? "-" : "") + (whole.isEmpty ? "0" : whole)
            + (fraction.isEmpty ? "" : "." + fraction) + power
    }
}
