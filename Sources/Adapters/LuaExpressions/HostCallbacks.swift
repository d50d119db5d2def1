import CLuaSandbox
import Ports
import Values

/// The callbacks through which C reaches an evaluation.
///
/// No callback may throw past its frame or call Lua.
enum HostCallbacks {
    typealias Out = UnsafeMutablePointer<millrace_lua_value>

    /// Builds the callback table; a function of its own, because closures made in a method trap on foreign
    /// threads.
    static func makeHost() -> millrace_lua_host {
        millrace_lua_host(
            root: { context, lua, name, count, out in
                HostCallbacks.root(
                    HostCallbacks.evaluation(context), lua, UnsafeBufferPointer(start: name, count: count),
                    out)
            },
            member: { context, lua, node, key, out in
                HostCallbacks.member(HostCallbacks.evaluation(context), lua, node, key.pointee, out)
            },
            count: { context, node in HostCallbacks.count(HostCallbacks.evaluation(context), node) },
            is_list: { context, node in
                if case .value(.array) = HostCallbacks.evaluation(context).node(node) { return 1 }
                return 0
            },
            name: { context, lua, node, position, out in
                HostCallbacks.name(HostCallbacks.evaluation(context), lua, node, position, out)
            },
            equal: { context, lua, left, right in
                HostCallbacks.equal(HostCallbacks.evaluation(context), lua, left, right)
            },
            number: { _, lua, text, count, out in
                LuaNumber.read(UnsafeBufferPointer(start: text, count: count), lua, out)
            },
            compare: { _, left, right in LuaNumber.order(left.pointee, right.pointee) },
            call: { context, lua, function, count, arguments, out in
                let values = UnsafeBufferPointer(start: arguments, count: Int(count))
                return HostFunctions(
                    evaluation: HostCallbacks.evaluation(context), lua: lua, arguments: values, out: out
                )
                .call(function)
            })
    }

    private static func evaluation(_ context: UnsafeMutableRawPointer) -> Evaluation {
        Unmanaged<Evaluation>.fromOpaque(context).takeUnretainedValue()
    }

    static func put(_ text: String, _ lua: OpaquePointer, _ out: Out) {
        var text = text
        text.withUTF8 { millrace_lua_put(lua, out, $0.baseAddress, $0.count) }
    }

    /// Writes a node into a result: scalars by value, containers by index.
    static func write(_ node: ScopeNode, _ evaluation: Evaluation, _ lua: OpaquePointer, _ out: Out) {
        switch node {
        case .value(.null): out.pointee.kind = Int32(MILLRACE_LUA_NIL)
        case .value(.bool(let flag)): out.pointee.kind = Int32(flag ? MILLRACE_LUA_TRUE : MILLRACE_LUA_FALSE)
        case .value(.int(let number)):
            out.pointee.kind = Int32(MILLRACE_LUA_INTEGER)
            out.pointee.integer = number
        case .value(.number(let text)):
            LuaNumber.write(text, lua, out)
        case .value(.string(let text)): put(text, lua, out)
        case .value(.bytes(let bytes)):
            bytes.withUnsafeBufferPointer { millrace_lua_put(lua, out, $0.baseAddress, $0.count) }
        case .value(.array), .value(.object), .branch:
            out.pointee.kind = Int32(MILLRACE_LUA_NODE)
            out.pointee.node = evaluation.keep(node)
        }
    }

    private static func root(
        _ evaluation: Evaluation, _ lua: OpaquePointer, _ bytes: UnsafeBufferPointer<UInt8>, _ out: Out
    ) -> Int32 {
        do throws(ExpressionFailure) {
            guard let name = String(validating: bytes, as: UTF8.self),
                let node = try evaluation.scope.member(name)
            else { return Int32(MILLRACE_LUA_ABSENT) }
            write(node, evaluation, lua, out)
            return Int32(MILLRACE_LUA_OK)
        } catch {
            evaluation.failure = error
            return Int32(MILLRACE_LUA_HOST_FAILED)
        }
    }

    private static func member(
        _ evaluation: Evaluation, _ lua: OpaquePointer, _ index: Int32, _ key: millrace_lua_value, _ out: Out
    ) -> Int32 {
        do throws(ExpressionFailure) {
            guard let found = try child(of: evaluation.node(index), key) else {
                return Int32(MILLRACE_LUA_ABSENT)
            }
            write(found, evaluation, lua, out)
            return Int32(MILLRACE_LUA_OK)
        } catch {
            evaluation.failure = error
            return Int32(MILLRACE_LUA_HOST_FAILED)
        }
    }

    private static func child(
        of node: ScopeNode, _ key: millrace_lua_value
    ) throws(ExpressionFailure) -> ScopeNode? {
        if key.kind == MILLRACE_LUA_INTEGER {
            guard case .value(.array(let items)) = node, key.integer >= 1, key.integer <= items.count else {
                return nil
            }
            return .value(items[Int(key.integer) - 1])
        }
        guard key.kind == MILLRACE_LUA_TEXT else { return nil }
        let bytes = UnsafeBufferPointer(start: key.bytes, count: key.byte_count)
        guard let name = String(validating: bytes, as: UTF8.self) else { return nil }
        return try node.member(name)
    }

    private static func count(_ evaluation: Evaluation, _ index: Int32) -> Int64 {
        switch evaluation.node(index) {
        case .value(.array(let items)): Int64(items.count)
        case .value(.object(let object)): Int64(object.count)
        default: Int64(evaluation.names(of: index).count)
        }
    }

    private static func name(
        _ evaluation: Evaluation, _ lua: OpaquePointer, _ index: Int32, _ position: Int64, _ out: Out
    ) -> Int32 {
        let names = evaluation.names(of: index)
        guard position >= 1, position <= names.count else { return Int32(MILLRACE_LUA_ABSENT) }
        put(names[Int(position) - 1], lua, out)
        return Int32(MILLRACE_LUA_OK)
    }

    private static func equal(
        _ evaluation: Evaluation, _ lua: OpaquePointer, _ left: Int32, _ right: Int32
    ) -> Int32 {
        guard case .value(let first) = evaluation.node(left), case .value(let second) = evaluation.node(right)
        else { return left == right ? 1 : 0 }
        return DeepComparison(lua: lua).equals(first, second) ? 1 : 0
    }
}

/// Deep equality of two containers: texts by bytes, numbers as Lua compares them, members in any order.
private struct DeepComparison {
    let lua: OpaquePointer

    func equals(_ left: Value, _ right: Value) -> Bool {
        // Once the budget is used up, the result no longer matters: the caller's next charge stops the
        // evaluation.
        guard millrace_lua_charge(lua, 3) != 0 else { return false }
        switch (left, right) {
        case (.array(let first), .array(let second)):
            return first.count == second.count && zip(first, second).allSatisfy { equals($0, $1) }
        case (.object(let first), .object(let second)):
            return first.count == second.count && sameMembers(first, second)
        case (.string(let first), .string(let second)):
            return millrace_lua_charge(lua, Int64(first.utf8.count / 32)) != 0
                && first.hasSameBytes(as: second)
        case (.int, .int), (.int, .number), (.number, .int), (.number, .number):
            guard let first = LuaNumber(left), let second = LuaNumber(right) else { return false }
            return first.equals(second)
        default: return left == right
        }
    }

    private func sameMembers(_ left: Object, _ right: Object) -> Bool {
        for (position, member) in left.members.enumerated() {
            // The order is usually the same; a lookup by name scans the map.
            let counterpart: Value?
            if right.members[position].name.hasSameBytes(as: member.name) {
                counterpart = right.members[position].value
            } else {
                guard millrace_lua_charge(lua, Int64(right.count)) != 0 else { return false }
                counterpart = right[member.name]
            }
            guard let counterpart, equals(member.value, counterpart) else { return false }
        }
        return true
    }
}
