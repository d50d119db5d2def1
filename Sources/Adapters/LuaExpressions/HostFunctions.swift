import CLuaSandbox
import Ports
import Values

/// One call of a host function by a script.
struct HostFunctions {
    /// Why a call fails: an error that the script can see, or the end of the evaluation.
    enum Refusal: Error {
        case raised(String)
        case overBudget
        case overMemory
        case failed(ExpressionFailure)
    }

    let evaluation: Evaluation
    let lua: OpaquePointer
    let arguments: UnsafeBufferPointer<millrace_lua_value>
    let out: HostCallbacks.Out

    func call(_ number: Int32) -> Int32 {
        guard let function = SandboxLibrary.Function(rawValue: number) else {
            return Int32(MILLRACE_LUA_ABSENT)
        }
        do throws(Refusal) {
            try run(function)
            return Int32(MILLRACE_LUA_OK)
        } catch {
            switch error {
            case .raised(let message):
                let (library, name) = function.name
                HostCallbacks.put("\(library).\(name): \(message)", lua, out)
                return Int32(MILLRACE_LUA_RAISED)
            case .overBudget: return Int32(MILLRACE_LUA_OVER_BUDGET)
            case .overMemory: return Int32(MILLRACE_LUA_OVER_MEMORY)
            case .failed(let failure):
                evaluation.failure = failure
                return Int32(MILLRACE_LUA_HOST_FAILED)
            }
        }
    }

    private func run(_ function: SandboxLibrary.Function) throws(Refusal) {
        switch function {
        case .hmac: answer(Hex.encode(try mac()))
        case .hmacBase64: answer(Base64.encode(try mac()))
        case .sha256: answer(Hex.encode(evaluation.cryptography.sha256(try bytes(0, perUnit: 16))))
        case .equals: try equals()
        case .base64Encode: answer(Base64.encode(try bytes(0, perUnit: 8)))
        case .base64Decode: try answer(bytes: Base64.decode(try text(0)), or: "this is not base64")
        case .hexEncode: answer(Hex.encode(try bytes(0, perUnit: 8)))
        case .hexDecode: try answer(bytes: Hex.decode(try text(0)), or: "this is not a hexadecimal text")
        case .jsonEncode: try encodeJSON()
        case .jsonDecode: try decodeJSON()
        case .now: try now()
        case .parseTime: try parseTime()
        case .toMinor: try toMinor()
        case .fromMinor: try fromMinor()
        case .encodeURL: answer(Percent.encode(try bytes(0, perUnit: 4)))
        case .sha512: try hashLong()
        case .sign: try sign()
        case .verify: try verify()
        case .decodeURL: try decodeURL()
        case .decodeCSV: try decodeCSV()
        case .decodeXML: try decodeXML()
        case .getXML: try getXML()
        case .allXML: try allXML()
        case .formatTime: try formatTime()
        case .addTime: try addTime()
        case .randomID: try randomID()
        }
    }

    // MARK: - Arguments

    func charge(_ units: Int) throws(Refusal) {
        if millrace_lua_charge(lua, Int64(units)) == 0 { throw .overBudget }
    }

    func argument(_ index: Int) -> millrace_lua_value? {
        arguments.indices.contains(index) ? arguments[index] : nil
    }

    /// The bytes of a text, or of a number as Lua would write it; one work unit per `perUnit` bytes.
    func bytes(_ index: Int, perUnit: Int) throws(Refusal) -> [UInt8] {
        guard let argument = argument(index) else { throw .raised("argument \(index + 1) is missing") }
        if argument.kind == MILLRACE_LUA_INTEGER { return Array(String(argument.integer).utf8) }
        if argument.kind == MILLRACE_LUA_FLOAT {
            guard argument.number.isFinite else {
                throw .raised("argument \(index + 1) is not a finite number")
            }
            return Array(argument.number.description.utf8)
        }
        guard argument.kind == MILLRACE_LUA_TEXT || argument.kind == MILLRACE_LUA_DECIMAL else {
            throw .raised("argument \(index + 1) must be a text, got \(Self.kindName(argument))")
        }
        try charge(argument.byte_count / perUnit)
        return Array(UnsafeBufferPointer(start: argument.bytes, count: argument.byte_count))
    }

    func text(_ index: Int) throws(Refusal) -> String {
        guard let text = String(validating: try bytes(index, perUnit: 4), as: UTF8.self) else {
            throw .raised("argument \(index + 1) is not UTF-8")
        }
        return text
    }

    private static func kindName(_ value: millrace_lua_value) -> String {
        switch Int(value.kind) {
        case MILLRACE_LUA_FALSE, MILLRACE_LUA_TRUE: "a boolean"
        case MILLRACE_LUA_INTEGER, MILLRACE_LUA_FLOAT, MILLRACE_LUA_DECIMAL: "a number"
        case MILLRACE_LUA_TEXT: "a text"
        case MILLRACE_LUA_NODE, MILLRACE_LUA_TABLE: "a table"
        default: "null"
        }
    }

    /// The integer at `index`, or `fallback` if it was left out.
    func integer(_ index: Int, or fallback: Int64? = nil) throws(Refusal) -> Int64 {
        let given = argument(index)
        if let fallback, given == nil || given?.kind == Int32(MILLRACE_LUA_NIL) { return fallback }
        if let given, given.kind == MILLRACE_LUA_INTEGER { return given.integer }
        if let given, given.kind == MILLRACE_LUA_FLOAT, let exact = Int64(exactly: given.number) {
            return exact
        }
        if let given, given.kind == MILLRACE_LUA_DECIMAL,
            let plain = DecimalNumber(text: try text(index)).plainText
        {
            if let exact = Int64(plain) { return exact }
            let isWhole = plain.utf8.allSatisfy { $0 == UInt8(ascii: "-") || (0x30...0x39).contains($0) }
            if isWhole { throw .raised("argument \(index + 1) does not fit 64 bits") }
        }
        throw .raised("argument \(index + 1) must be a whole number")
    }

    // MARK: - Answers

    func answer(_ text: String) { HostCallbacks.put(text, lua, out) }

    func answer(bytes: [UInt8]?, or message: String) throws(Refusal) {
        guard let bytes else { throw .raised(message) }
        bytes.withUnsafeBufferPointer { millrace_lua_put(lua, out, $0.baseAddress, $0.count) }
    }

    func answer(_ number: Int64) {
        out.pointee.kind = Int32(MILLRACE_LUA_INTEGER)
        out.pointee.integer = number
    }

    // MARK: - crypto

    private func mac() throws(Refusal) -> [UInt8] {
        let algorithm = try text(0)
        let key = try bytes(1, perUnit: 16)
        let data = try bytes(2, perUnit: 16)
        try charge(50)
        guard let mac = evaluation.cryptography.hmac(algorithm, key: key, data: data) else {
            throw .raised("the algorithm must be sha1, sha256, sha384 or sha512")
        }
        return mac
    }

    /// Compares two texts in constant time; null equals nothing, so that a missing header is a wrong
    /// signature.
    private func equals() throws(Refusal) {
        let isText = (0..<2).allSatisfy { argument($0)?.kind == Int32(MILLRACE_LUA_TEXT) }
        var isEqual = false
        if isText {
            let (left, right) = (try bytes(0, perUnit: 16), try bytes(1, perUnit: 16))
            isEqual = evaluation.cryptography.equals(left, right)
        }
        out.pointee.kind = Int32(isEqual ? MILLRACE_LUA_TRUE : MILLRACE_LUA_FALSE)
    }

    // MARK: - json

    private func encodeJSON() throws(Refusal) {
        guard let argument = argument(0) else { throw .raised("argument 1 is missing") }
        do throws(ExpressionFailure) {
            let value = try ResultReader(evaluation: evaluation, copiedBytesMax: 1 << 20).value(argument)
            let text = JSON.bytes(value)
            guard millrace_lua_charge(lua, Int64(text.count / 4)) != 0 else {
                throw .budgetExceeded
            }
            text.withUnsafeBufferPointer { millrace_lua_put(lua, out, $0.baseAddress, $0.count) }
        } catch {
            if case .notAValue(let reason) = error { throw .raised(reason) }
            if error == .budgetExceeded { throw .overBudget }
            if error == .memoryExceeded { throw .overMemory }
            throw .failed(error)
        }
    }

    /// Decodes JSON; scripts read the result like a value of the scope, and nothing is copied into Lua.
    private func decodeJSON() throws(Refusal) {
        let text = try bytes(0, perUnit: 1)
        // A tree takes several times as many bytes as its text.
        guard millrace_lua_charge_memory(lua, Int64(text.count) * 4) != 0 else { throw .overMemory }
        let value: Value
        do throws(JSONProblem) {
            value = try JSON.parse(text)
        } catch {
            throw .raised("\(error.reason) at byte \(error.offset)")
        }
        HostCallbacks.write(.value(value), evaluation, lua, out)
    }

    // MARK: - time and money

    private func now() throws(Refusal) {
        guard let now = evaluation.scope.now else {
            throw .raised("the time is not known here; use run.now")
        }
        answer(now.seconds)
    }

    /// An id that is the same in each attempt of a step and after a crash.
    private func randomID() throws(Refusal) {
        let label = try text(0)
        let bytes = Array(label.utf8)
        let isLabel =
            (1...32).contains(bytes.count) && (0x61...0x7A).contains(bytes[0])
            && bytes.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5F }
        guard isLabel else {
            throw .raised("a label is at most 32 of a-z, 0-9 and _, starting with a letter, such as 'pay'")
        }
        try charge(100)
        guard let identifier = evaluation.scope.identifier(label) else {
            throw .raised("a trigger has no run yet: take the id in a step")
        }
        answer("\(label)_\(identifier)")
    }

    private func parseTime() throws(Refusal) {
        guard let instant = Instant(rfc3339: try text(0)) else {
            throw .raised("this is not an RFC 3339 time such as 2026-01-31T09:30:00Z")
        }
        answer(instant.seconds)
    }

    /// The number of decimals, given as such or by a currency code.
    private func digits(_ index: Int) throws(Refusal) -> Int {
        if let argument = argument(index), argument.kind == MILLRACE_LUA_TEXT {
            let currency = try text(index)
            guard currency.utf8.count == 3, currency.utf8.allSatisfy({ (0x41...0x5A).contains($0) }) else {
                throw .raised("a currency is three capital letters, such as EUR")
            }
            guard let digits = Money.digits(of: currency) else {
                throw .raised("no currency of ISO 4217 has the code \(currency)")
            }
            return digits
        }
        // A currency that is missing from the input must not count as one with two decimals.
        if let kind = argument(index)?.kind, [MILLRACE_LUA_NIL, MILLRACE_LUA_NULL].contains(Int(kind)) {
            throw .raised("the currency is null: give a code such as EUR, or a number of decimals")
        }
        let digits = try integer(index, or: 2)
        guard (0...6).contains(digits) else { throw .raised("a currency has 0 to 6 decimals") }
        return Int(digits)
    }

    /// A text unchanged; a number with all its digits and no exponent.
    private func amount(_ index: Int) throws(Refusal) -> String {
        let text = try text(index)
        guard let kind = argument(index)?.kind, kind != Int32(MILLRACE_LUA_TEXT) else { return text }
        guard text.utf8.count <= 500, let plain = DecimalNumber(text: text).plainText else {
            throw .raised(Money.Problem.tooLarge.message)
        }
        return plain
    }

    private func toMinor() throws(Refusal) {
        let amount = try amount(0)
        let digits = try digits(1)
        do throws(Money.Problem) {
            answer(try Money.minorUnits(of: amount, digits: digits))
        } catch {
            throw .raised(error.message)
        }
    }

    private func fromMinor() throws(Refusal) {
        answer(Money.text(minorUnits: try integer(0), digits: try digits(1)))
    }
}
