import Ports

/// Parses the header lines of a response as libcurl delivers them: one block, status line first.
enum ResponseHead {
    /// The headers in order, with surrounding blanks removed; lines without a colon are skipped.
    static func headers(_ bytes: UnsafeBufferPointer<UInt8>) -> [HTTPHeader] {
        var headers: [HTTPHeader] = []
        headers.reserveCapacity(12)
        var start = 0
        while start < bytes.count {
            let end = bytes[start...].firstIndex(of: 0x0A) ?? bytes.count
            add(bytes[start..<end], to: &headers)
            start = end + 1
        }
        return headers
    }

    /// The name of a header that occurs with two values although only one can be true; nil if there is none.
    ///
    /// The body would be read by one of them, but the sender may have meant the other. Several Content-Encodings
    /// form a list and do not contradict each other.
    static func contradiction(in headers: [HTTPHeader]) -> String? {
        var (length, type): (String?, String?)
        for header in headers {
            let count = header.name.utf8.count
            guard count == 12 || count == 14 else { continue }
            switch header.name.lowercased() {
            case "content-length":
                if let length, length != header.value { return "Content-Length" }
                length = header.value
            case "content-type":
                if let type, type != header.value { return "Content-Type" }
                type = header.value
            default: break
            }
        }
        return nil
    }

    private static func add(_ line: Slice<UnsafeBufferPointer<UInt8>>, to headers: inout [HTTPHeader]) {
        guard let first = line.first else { return }
        if isBlank(first) {
            // A folded line continues the previous one.
            let more = text(trimmed(line))
            if !more.isEmpty, let last = headers.indices.last { headers[last].value += " " + more }
            return
        }
        guard !line.starts(with: "HTTP/".utf8), let colon = line.firstIndex(of: 0x3A), colon > line.startIndex
        else { return }
        let name = text(trimmed(line[..<colon]))
        headers.append(HTTPHeader(name, text(trimmed(line[(colon + 1)...]))))
    }

    /// Reads bytes that are not UTF-8 as ISO-8859-1, the former encoding of headers: no byte is lost, and an odd
    /// `Server` header does not fail the response.
    private static func text(_ bytes: Slice<UnsafeBufferPointer<UInt8>>) -> String {
        if let text = String(validating: UnsafeBufferPointer(rebasing: bytes), as: UTF8.self) { return text }
        var scalars = String.UnicodeScalarView()
        for byte in bytes { scalars.append(Unicode.Scalar(byte)) }
        return String(scalars)
    }

    private static func trimmed(_ bytes: Slice<UnsafeBufferPointer<UInt8>>) -> Slice<
        UnsafeBufferPointer<UInt8>
    > {
        var bytes = bytes
        while let first = bytes.first, isBlank(first) { bytes.removeFirst() }
        while let last = bytes.last, isBlank(last) { bytes.removeLast() }
        return bytes
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }
}
