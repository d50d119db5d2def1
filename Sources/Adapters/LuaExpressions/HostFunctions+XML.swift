import CLuaSandbox
import Ports
import Values

// XML, as a text or as the result of `xml.decode`.
extension HostFunctions {
    func decodeXML() throws(Refusal) {
        guard let text = try xmlText() else { throw .raised("argument 1 must be a text") }
        let root = try read(text, .root).first ?? nil
        answer(Value.object(Object([.init(name: "root", value: root)])))
    }

    func getXML() throws(Refusal) {
        let path = try xmlPath()
        if let text = try xmlText() { return answer(try read(text, .first(path)).first ?? nil) }
        guard let first = try select(path).first else { return answer(nil) }
        answer(path.attribute == nil ? first["text"] ?? nil : first)
    }

    func allXML() throws(Refusal) {
        let path = try xmlPath()
        if let text = try xmlText() { return answer(.array(try read(text, .each(path)))) }
        answer(.array(try select(path)))
    }

    private func answer(_ value: Value) { HostCallbacks.write(.value(value), evaluation, lua, out) }

    private func xmlPath() throws(Refusal) -> XMLPath {
        guard argument(1)?.kind == Int32(MILLRACE_LUA_TEXT), let path = XMLPath(try text(1)) else {
            throw .raised("argument 2 must be a path, such as Order/Item[2]/@id")
        }
        return path
    }

    /// Nil if argument 1 is not a text.
    private func xmlText() throws(Refusal) -> UnsafeBufferPointer<UInt8>? {
        guard let argument = argument(0), argument.kind == MILLRACE_LUA_TEXT else { return nil }
        try charge(argument.byte_count / 2)
        return UnsafeBufferPointer(start: argument.bytes, count: argument.byte_count)
    }

    private func read(
        _ text: UnsafeBufferPointer<UInt8>, _ wanted: XMLReader.Wanted
    ) throws(Refusal) -> [Value] {
        let lua = lua
        do throws(XMLReader.Failure) {
            return try XMLReader.read(text, wanted) { work, memory in
                if millrace_lua_charge(lua, Int64(work)) == 0 { return .overBudget }
                return millrace_lua_charge_memory(lua, Int64(memory)) == 0 ? .overMemory : nil
            }
        } catch {
            switch error {
            case .malformed(let line, let reason): throw .raised("\(reason), in line \(line)")
            case .overBudget: throw .overBudget
            case .overMemory: throw .overMemory
            }
        }
    }

    /// The values at a path in a decoded document.
    private func select(_ path: XMLPath) throws(Refusal) -> [Value] {
        let tree: Value
        switch Int(argument(0)?.kind ?? 0) {
        case MILLRACE_LUA_NODE:
            guard let index = argument(0)?.node, case .value(let value) = evaluation.node(index) else {
                throw .raised(Self.noXML)
            }
            tree = value
        case MILLRACE_LUA_TABLE: tree = try table(0)
        default: throw .raised(Self.noXML)
        }
        guard tree["root"] != nil || tree["children"]?.array != nil else { throw .raised(Self.noXML) }
        return try path.select(from: tree) { () throws(Refusal) in try charge(2) }
    }

    private static let noXML = "argument 1 must be XML, as a text or as xml.decode gave it"

    private func table(_ index: Int) throws(Refusal) -> Value {
        do throws(ExpressionFailure) {
            guard let argument = argument(index) else { return nil }
            return try ResultReader(evaluation: evaluation, copiedBytesMax: 1 << 20).value(argument)
        } catch {
            if case .notAValue(let reason) = error { throw .raised(reason) }
            throw error == .memoryExceeded ? .overMemory : .failed(error)
        }
    }
}
