// Letters of protocols: what HTTP, URLs and schemes compare without regard to case is ASCII. Inlined, because
// these stand in loops over the bytes of every request.

extension UInt8 {
    /// The byte, or for `A` to `Z` the small letter.
    @inlinable package var lowercasedASCII: UInt8 { (0x41...0x5A).contains(self) ? self | 0x20 : self }
}

extension UnsafeBufferPointer<UInt8> {
    /// The bytes, which must be UTF-8, as text with small letters in place of `A` to `Z`.
    package var lowercasedASCIIText: String {
        String(unsafeUninitializedCapacity: count) { room in
            for index in indices { room[index] = self[index].lowercasedASCII }
            return count
        }
    }

    /// Whether the bytes begin with a text of small letters, whatever the case of theirs.
    @inlinable package func begins(withLowercase text: StaticString) -> Bool {
        let wanted = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        return count >= wanted.count && wanted.indices.allSatisfy { self[$0].lowercasedASCII == wanted[$0] }
    }
}
