import CLuaSandbox
import Ports
import Values

// Public-key signatures, and decoders of other formats.
extension HostFunctions {
    /// The cost of one signature, in work units: about that of the slowest key type.
    private static let signingUnits = 100_000
    private static let verifyingUnits = 5_000

    func hashLong() throws(Refusal) {
        let data = try bytes(0, perUnit: 16)
        answer(Hex.encode(evaluation.cryptography.sha512(data)))
    }

    private func algorithm() throws(Refusal) -> SigningAlgorithm {
        guard let algorithm = SigningAlgorithm(rawValue: try text(0)) else {
            let known = SigningAlgorithm.allCases.map(\.rawValue).joined(separator: ", ")
            throw .raised("the algorithm must be one of \(known)")
        }
        return algorithm
    }

    func sign() throws(Refusal) {
        let algorithm = try algorithm()
        let (key, data) = (try bytes(1, perUnit: 16), try bytes(2, perUnit: 16))
        try charge(Self.signingUnits)
        try answer(
            bytes: evaluation.cryptography.sign(algorithm, key: key, data: data),
            or: "the key is no private key in PEM for \(algorithm.rawValue)")
    }

    func verify() throws(Refusal) {
        let algorithm = try algorithm()
        let (key, data) = (try bytes(1, perUnit: 16), try bytes(2, perUnit: 16))
        // A missing signature is an invalid one, not an error.
        var signature: [UInt8] = []
        if let given = argument(3), given.kind == MILLRACE_LUA_TEXT { signature = try bytes(3, perUnit: 16) }
        try charge(Self.verifyingUnits)
        guard
            let isGenuine = evaluation.cryptography.verify(
                algorithm, key: key, data: data, signature: signature)
        else { throw .raised("the key is no public key in PEM for \(algorithm.rawValue)") }
        out.pointee.kind = Int32(isGenuine ? MILLRACE_LUA_TRUE : MILLRACE_LUA_FALSE)
    }

    func decodeURL() throws(Refusal) {
        let encoded = try bytes(0, perUnit: 8)
        try answer(
            bytes: Percent.decode(encoded, plusIsSpace: false), or: "a % without two hexadecimal digits")
    }

    /// `decode(text, separator, hasNames)`: rows as lists, or as maps named by the first row.
    func decodeCSV() throws(Refusal) {
        let source = try bytes(0, perUnit: 1)
        let separator = argument(1)?.kind == Int32(MILLRACE_LUA_TEXT) ? try bytes(1, perUnit: 1) : [0x2C]
        guard separator.count == 1, ![0x22, 0x0A, 0x0D].contains(separator[0]) else {
            throw .raised("argument 2 must be the one character between fields, such as ','")
        }
        // Each field becomes a value.
        guard millrace_lua_charge_memory(lua, Int64(source.count) * 16) != 0 else { throw .overMemory }
        let rows: [[[UInt8]]]
        do throws(CSV.Fault) {
            rows = try CSV.rows(of: source, separator: separator[0])
        } catch {
            throw .raised("\(error.reason), in line \(error.line)")
        }
        let hasNames = argument(2)?.kind == Int32(MILLRACE_LUA_TRUE)
        let value = hasNames ? try named(rows) : .array(rows.map { .array($0.map { Value(bytes: $0) }) })
        HostCallbacks.write(.value(value), evaluation, lua, out)
    }

    private func named(_ rows: [[[UInt8]]]) throws(Refusal) -> Value {
        guard let first = rows.first else { return .array([]) }
        let names = first.map { String(decoding: $0, as: UTF8.self) }
        guard Set(names.map { Array($0.utf8) }).count == names.count else {
            throw .raised("two columns have one name")
        }
        var maps: [Value] = []
        for (index, row) in rows.dropFirst().enumerated() {
            guard row.count == names.count else {
                throw .raised("row \(index + 2) has \(row.count) fields, and the first has \(names.count)")
            }
            let members = zip(names, row).map { Object.Member(name: $0, value: Value(bytes: $1)) }
            maps.append(.object(Object(members)))
        }
        return .array(maps)
    }
}
