import CLuaSandbox
import Ports
import Values

/// What one evaluation has shown to Lua: its scope and the containers that scripts hold by index.
final class Evaluation {
    let scope: any ExpressionScope
    let cryptography: any Cryptography
    let timeZones: (any TimeZones)?
    /// Set before a callback answers with MILLRACE_LUA_HOST_FAILED.
    var failure: ExpressionFailure?

    private var nodes: [ScopeNode] = []
    /// The names of the branch walked last, so that a walk does not list them for each step.
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

    /// The members of a map or branch, in order.
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

    /// A float that Lua returned, as a value.
    func value(of number: Double) throws(ExpressionFailure) -> Value {
        guard let value = Value(double: number) else {
            throw .notAValue(reason: number.isNaN ? "NaN" : "an infinite number")
        }
        return value
    }
}
