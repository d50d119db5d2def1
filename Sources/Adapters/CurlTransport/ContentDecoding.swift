import CZlib
import Ports
import Values

/// Decodes a response body as its `Content-Encoding` says.
///
/// libcurl's own decoding is not used: it accepts a truncated compressed body as complete, and decodes
/// encodings that were not requested, some of which allocate megabytes per transfer.
enum ContentDecoding {
    /// The `Accept-Encoding` of a request that sets none.
    static let accepted = "gzip, deflate"
    private static let codingCountMax = 3

    enum Outcome: Equatable {
        case bytes([UInt8], isDecoded: Bool)
        case tooLarge
        case unreadable(reason: String)
    }

    /// Removes all content codings, the last one applied first.
    ///
    /// No intermediate result exceeds `byteCountMax` by more than one chunk.
    static func decode(
        _ body: UnsafeBufferPointer<UInt8>, of headers: [HTTPHeader], byteCountMax: Int
    ) -> Outcome {
        let codings = codings(in: headers)
        if codings.isEmpty || body.isEmpty { return .bytes(Array(body), isDecoded: false) }
        if codings.count > codingCountMax {
            return .unreadable(reason: "its Content-Encoding names more than \(codingCountMax) codings")
        }
        var bytes = Array(body)
        for coding in codings.reversed() {
            let outcome: Outcome
            switch coding {
            case "gzip", "x-gzip": outcome = Inflation.gzip(bytes, byteCountMax: byteCountMax)
            case "deflate": outcome = Inflation.deflate(bytes, byteCountMax: byteCountMax)
            default:
                return .unreadable(
                    reason: "its Content-Encoding `\(coding.prefix(60))` is none of: gzip, deflate")
            }
            guard case .bytes(let decoded, _) = outcome else { return outcome }
            bytes = decoded
        }
        return .bytes(bytes, isDecoded: true)
    }

    /// Whether a header describes the encoded body and would be wrong for the decoded one.
    static func describesCoding(_ header: HTTPHeader) -> Bool {
        isNamed(header, "content-encoding") || isNamed(header, "content-length")
    }

    private static func isNamed(_ header: HTTPHeader, _ name: StaticString) -> Bool {
        header.name.utf8.count == name.utf8CodeUnitCount
            && header.name.utf8.withBytes { $0.begins(withLowercase: name) }
    }

    /// The codings in lower case and in order; several headers form one list.
    private static func codings(in headers: [HTTPHeader]) -> [String] {
        var codings: [String] = []
        for header in headers where isNamed(header, "content-encoding") {
            for part in header.value.utf8.split(separator: UInt8(ascii: ",")) {
                let letters = part.filter { $0 != 0x20 && $0 != 0x09 }.map(\.lowercasedASCII)
                let name = String(decoding: letters, as: UTF8.self)
                if !name.isEmpty, name != "identity" { codings.append(name) }
            }
        }
        return codings
    }
}
