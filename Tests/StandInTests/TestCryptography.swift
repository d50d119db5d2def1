import Ports
import Values

/// SHA-256 and HMAC written out, so that the stand-ins' signatures are checked against another hand.
struct TestCryptography: Cryptography {
    func sha256(_ bytes: [UInt8]) -> [UInt8] {
        var state = Self.fractions(of: Self.primes.prefix(8), root: 2)
        let constants = Self.fractions(of: Self.primes[...], root: 3)
        var message = bytes + [0x80]
        while message.count % 64 != 56 { message.append(0) }
        let bitCount = UInt64(bytes.count) * 8
        message += (0..<8).map { UInt8(truncatingIfNeeded: bitCount >> UInt64(56 - 8 * $0)) }
        for start in stride(from: 0, to: message.count, by: 64) {
            Self.compress(message[start..<start + 64], into: &state, constants)
        }
        return state.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(24 - 8 * $0)) }
        }
    }

    func hmac(_ algorithm: String, key: [UInt8], data: [UInt8]) -> [UInt8]? {
        guard algorithm == "sha256" else { return nil }
        var block = key.count > 64 ? sha256(key) : key
        block += [UInt8](repeating: 0, count: 64 - block.count)
        return sha256(block.map { $0 ^ 0x5c } + sha256(block.map { $0 ^ 0x36 } + data))
    }

    func equals(_ left: [UInt8], _ right: [UInt8]) -> Bool { left == right }
    func randomBytes(count: Int) -> [UInt8] { [UInt8](repeating: 7, count: count) }
    func seal(_ plaintext: [UInt8], key: [UInt8], context: [UInt8]) -> [UInt8] { plaintext }
    func open(_ sealed: [UInt8], key: [UInt8], context: [UInt8]) -> [UInt8]? { sealed }

    private static let primes: [UInt64] = {
        var found: [UInt64] = []
        var candidate: UInt64 = 2
        while found.count < 64 {
            if found.allSatisfy({ candidate % $0 != 0 }) { found.append(candidate) }
            candidate += 1
        }
        return found
    }()

    /// The first 32 bits behind the point of each prime's root: the standard's constants, exactly.
    private static func fractions(of primes: ArraySlice<UInt64>, root: Int) -> [UInt32] {
        primes.map { prime in
            // The largest r below 2^37 with r^root at most prime * 2^(32 * root), by bisection.
            var (low, high): (UInt64, UInt64) = (0, 1 << 37)
            while high - low > 1 {
                let middle = (low + high) / 2
                if isAtMost(middle, root, prime) { low = middle } else { high = middle }
            }
            return UInt32(truncatingIfNeeded: low)
        }
    }

    private static func isAtMost(_ number: UInt64, _ root: Int, _ prime: UInt64) -> Bool {
        let value = UInt128(number)
        let power = root == 2 ? value * value : value * value * value
        return power <= UInt128(prime) << UInt128(32 * root)
    }

    private static func compress(
        _ block: ArraySlice<UInt8>, into state: inout [UInt32], _ constants: [UInt32]
    ) {
        let bytes = Array(block)
        var words = (0..<16).map { index in
            (0..<4).reduce(UInt32(0)) { $0 << 8 | UInt32(bytes[4 * index + $1]) }
        }
        func turn(_ word: UInt32, _ bits: UInt32) -> UInt32 { word >> bits | word << (32 - bits) }
        for index in 16..<64 {
            let (a, b) = (words[index - 15], words[index - 2])
            let first = turn(a, 7) ^ turn(a, 18) ^ a >> 3
            let second = turn(b, 17) ^ turn(b, 19) ^ b >> 10
            words.append(words[index - 16] &+ first &+ words[index - 7] &+ second)
        }
        var s = state
        for index in 0..<64 {
            let sum1 = turn(s[4], 6) ^ turn(s[4], 11) ^ turn(s[4], 25)
            let choice = (s[4] & s[5]) ^ (~s[4] & s[6])
            let first = s[7] &+ sum1 &+ choice &+ constants[index] &+ words[index]
            let sum0 = turn(s[0], 2) ^ turn(s[0], 13) ^ turn(s[0], 22)
            let majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2])
            s = [first &+ sum0 &+ majority, s[0], s[1], s[2], s[3] &+ first, s[4], s[5], s[6]]
        }
        for index in 0..<8 { state[index] = state[index] &+ s[index] }
    }
}
