import CLuaSandbox
import Ports
import Values

/// The state of one evaluation: its scope, and the containers that scripts refer to by index.
final class Evaluation {
    let scope: any ExpressionScope
    let cryptography: any Cryptography
    let timeZones: (any TimeZones)?
    /// Set before a callback returns MILLRACE_LUA_HOST_FAILED.
    var failure: ExpressionFailure?

    private var nodes: [ScopeNode] = []
    /// The names of the last node walked, so that each step of a walk does not list them again.
    private var listedNames: (node: Int32, names: [String])?

    init(scope: any ExpressionScope, cryptography: any Cryptography, timeZones: (any TimeZones)? = nil) {
        self.scope = scope
        self.timeZones = timeZones
        self.cryptography = cryptography
    }

    func node(_ index: Int32) -> ScopeNode {
        nodes.indices.contains(Int(index)) ? nodes[Int(index)] : .value(.null)
    }

    func keep(_ node: ScopeNode) -> Int32 {
        nodes.append(node)
        return Int32(truncatingIfNeeded: nodes.count - 1)
    }

    /// The member names of a map or branch, in order.
    func names(of index: Int32) -> [String] {
        if let listedNames, listedNames.node == index { return listedNames.names }
        let names: [String]
        switch node(index) {
        case .branch(let branch): names = branch.memberNames
        case .value(.object(let object)): names = object.members.map(\.name)
        default: names = []
        }
        listedNames = (index, names)
        return names
    }

    // MARK: - Numbers

    /// A float returned by Lua, as a value.
    func value(of number: Double) throws(ExpressionFailure) -> Value {
        guard let value = Value(double: number) else {
            throw .notAValue(reason: number.isNaN ? "NaN" : "an infinite number")
        }
        return value
    }
}
