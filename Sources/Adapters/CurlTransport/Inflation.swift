import CZlib

/// Decompresses zlib data in any of its three formats.
enum Inflation {
    private static let chunkByteCount = 32 << 10
    /// zlib's `windowBits`: the largest window with a gzip header, with a zlib header, or with none.
    private enum Wrapping: Int32 { case gzip = 31, zlib = 15, none = -15 }

    /// Decompresses one or more gzip members in a row, which together are one body.
    static func gzip(_ bytes: [UInt8], byteCountMax: Int) -> ContentDecoding.Outcome {
        inflate(bytes, .gzip, byteCountMax: byteCountMax)
    }

    /// Decompresses data with the zlib header that HTTP requires, or without one, as some servers send it.
    static func deflate(_ bytes: [UInt8], byteCountMax: Int) -> ContentDecoding.Outcome {
        let hasHeader =
            bytes.count > 1 && bytes[0] & 15 == 8
            && (UInt32(bytes[0]) << 8 | UInt32(bytes[1])).isMultiple(of: 31)
        return inflate(bytes, hasHeader ? .zlib : .none, byteCountMax: byteCountMax)
    }

    private static func inflate(
        _ bytes: [UInt8], _ wrapping: Wrapping, byteCountMax: Int
    ) -> ContentDecoding.Outcome {
        var stream = z_stream()
        guard
            inflateInit2_(&stream, wrapping.rawValue, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
                == Z_OK
        else { return .unreadable(reason: "no memory to decompress it") }
        defer { inflateEnd(&stream) }
        var bytes = bytes
        return bytes.withUnsafeMutableBufferPointer { input in
            stream.next_in = input.baseAddress
            stream.avail_in = UInt32(clamping: input.count)
            return read(&stream, wrapping, byteCountMax: byteCountMax)
        }
    }

    private static func read(
        _ stream: inout z_stream, _ wrapping: Wrapping, byteCountMax: Int
    ) -> ContentDecoding.Outcome {
        var out: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: chunkByteCount)
        while true {
            let code = chunk.withUnsafeMutableBufferPointer { chunk in
                stream.next_out = chunk.baseAddress
                stream.avail_out = UInt32(chunk.count)
                return CZlib.inflate(&stream, Z_NO_FLUSH)
            }
            out += chunk[..<(chunkByteCount - Int(stream.avail_out))]
            if out.count > byteCountMax { return .tooLarge }
            switch code {
            case Z_OK: continue
            case Z_STREAM_END:
                if stream.avail_in == 0 { return .bytes(out, isDecoded: true) }
                guard wrapping == .gzip, inflateReset(&stream) == Z_OK else {
                    return .unreadable(reason: "there are bytes after the end of its compressed data")
                }
            case Z_BUF_ERROR: return .unreadable(reason: "its compressed data ends too early")
            default: return .unreadable(reason: "its compressed data is broken")
            }
        }
    }
}
