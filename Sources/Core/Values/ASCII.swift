// ASCII case folding for protocols: HTTP, URLs and schemes ignore the case of ASCII letters only. Inlined,
// because it runs in loops over the bytes of every request.

extension UInt8 {
    /// The byte, with `A` to `Z` in lower case.
    @inlinable package var lowercasedASCII: UInt8 { (0x41...0x5A).contains(self) ? self | 0x20 : self }
}

extension UnsafeBufferPointer<UInt8> {
    /// The bytes, which must be UTF-8, as text with `A` to `Z` in lower case.
    package var lowercasedASCIIText: String {
        String(unsafeUninitializedCapacity: count) { room in
            for index in indices { room[index] = self[index].lowercasedASCII }
            return count
        }
    }

    /// Whether the bytes begin with a lower-case text, ignoring case.
    @inlinable package func begins(withLowercase text: StaticString) -> Bool {
        let wanted = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        return count >= wanted.count && wanted.indices.allSatisfy { self[$0].lowercasedASCII == wanted[$0] }
    }
}
