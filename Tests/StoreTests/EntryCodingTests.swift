import Storage
import Testing
import Values

@testable import SQLiteStore

@Suite("Packed journal entries")
struct EntryCodingTests {
    private func packed(_ entries: [StoredEntry]) -> [UInt8] {
        var bytes: [UInt8] = []
        EntryCoding.pack(entries, into: &bytes)
        return bytes
    }

    private func unpacked(_ bytes: [UInt8]) throws -> [StoredEntry] {
        var entries: [StoredEntry] = []
        try bytes.withUnsafeBytes { bytes in try EntryCoding.unpack(bytes, into: &entries) }
        return entries
    }

    private static let samples = [
        StoredEntry(
            key: "start", sequence: 1, kind: "run.started", at: Instant(microseconds: 1_795_240_306_634_728),
            facts: Array("{}".utf8), body: []),
        StoredEntry(
            key: "outcome/ä", sequence: 2, kind: "step.of_tomorrow", at: Instant(microseconds: 5), facts: [],
            body: [UInt8](repeating: 7, count: 70_000), chargeMilliseconds: 12),
        StoredEntry(
            key: "", sequence: .max, kind: "", at: Instant(microseconds: .min), facts: [0, 255],
            chargeMilliseconds: .max),
        StoredEntry(
            key: "finish", sequence: .min, kind: "run.finished", at: Instant(microseconds: .max), facts: [1]),
    ]

    @Test("entries come back as they went in, whatever they hold")
    func entriesComeBack() throws {
        #expect(try unpacked(packed(Self.samples)) == Self.samples)
        #expect(throws: StoreError.self) { try unpacked(packed([])) }
        for entry in Self.samples { #expect(try unpacked(packed([entry])) == [entry]) }
    }

    @Test("the form of today is read for ever: these bytes were written by it")
    func formIsStable() throws {
        let bytes = packed(Array(Self.samples.prefix(1)))
        #expect(
            bytes == [
                1, 5, 0x73, 0x74, 0x61, 0x72, 0x74, 2, 0, 0xD0, 0xBF, 0x9B, 0xCC, 0xDE, 0xB0, 0xB0, 0x06, 0,
                2, 0x7B, 0x7D, 1, 0,
            ])
    }

    @Test("bytes that are cut or changed are refused or read as other facts, and never crash")
    func damageIsRefused() throws {
        let whole = packed([Self.samples[0], Self.samples[3]])
        for count in 0..<whole.count where count != packed([Self.samples[0]]).count {
            #expect(throws: StoreError.self) { try unpacked(Array(whole.prefix(count))) }
        }
        for index in whole.indices {
            for value in [UInt8(0), 0x7F, 0x80, 0xFF] {
                var damaged = whole
                damaged[index] = value
                // Some bytes are part of a fact and may be anything; what matters is that each is survived.
                _ = try? unpacked(damaged)
            }
        }
        #expect(throws: StoreError.self) { try unpacked([2]) }
        #expect(throws: StoreError.self) { try unpacked([1] + [UInt8](repeating: 0xFF, count: 12)) }
    }
}
