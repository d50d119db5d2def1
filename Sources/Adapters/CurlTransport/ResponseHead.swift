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

    private static func text(_ bytes: Slice<UnsafeBufferPointer<UInt8>>) -> String {
        String(decoding: UnsafeBufferPointer(rebasing: bytes), as: UTF8.self)
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
