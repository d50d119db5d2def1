import CCurlShim
import Ports

/// An egress policy, compiled to the form that the address check uses.
final class EgressRules: @unchecked Sendable {
    // Unchecked: written in `init` only, then read by the loop's thread.
    let pointer: OpaquePointer

    struct Refusal: Error {
        let reason: String
    }

    /// Compiles the ranges of a policy.
    ///
    /// - Throws: ``Refusal`` with the first invalid range, such as `10.0.0.1/8`, whose bits after the prefix
    ///   are not zero.
    init(_ policy: EgressPolicy) throws(Refusal) {
        let destinations = policy.allowed + policy.denied
        var ranges: [millrace_range] = []
        for destination in destinations { ranges.append(try Self.range(destination)) }
        guard let pointer = millrace_egress_create(policy.allowed.count, policy.denied.count) else {
            throw Refusal(reason: "no memory for the rules of the addresses")
        }
        for (index, range) in ranges.enumerated() { millrace_egress_set(pointer, index, range) }
        self.pointer = pointer
    }

    deinit { millrace_egress_destroy(pointer) }

    /// Whether a connection to `address` (`10.0.0.1`, `::1`) and `port` is permitted.
    func permits(_ address: String, port: UInt16) -> Bool {
        millrace_egress_permits_text(pointer, address, Int32(port))
    }

    private static func range(_ destination: EgressPolicy.Destination) throws(Refusal) -> millrace_range {
        var range = millrace_range()
        guard !destination.range.utf8.contains(0), millrace_range_parse(destination.range, &range) else {
            throw Refusal(reason: "the address rule \(destination.range) is not a range such as 10.0.0.0/8")
        }
        range.is_any_port = destination.port == nil
        range.port = destination.port ?? 0
        return range
    }
}
