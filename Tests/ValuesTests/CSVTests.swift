import Testing
import Values

@Suite("Comma-separated values")
struct CSVTests {
    private static func rows(_ text: String, by separator: Character = ",") throws(CSV.Fault) -> [[String]] {
        try CSV.rows(of: Array(text.utf8), separator: separator.asciiValue ?? 0).map { row in
            row.map { String(decoding: $0, as: UTF8.self) }
        }
    }

    @Test("fields, quotes, line ends and the byte order mark are read as RFC 4180 has them")
    func rowsAreRead() throws {
        #expect(try Self.rows("a,b\r\n1,\"x \"\"y\"\", z\"\n") == [["a", "b"], ["1", "x \"y\", z"]])
        #expect(try Self.rows("\u{FEFF}a;b\n\"1\n2\";", by: ";") == [["a", "b"], ["1\n2", ""]])
        #expect(try Self.rows("") == [])
    }

    @Test("a quote in the wrong place is told with its line", arguments: ["a\n\"b", "a\n\"b\"c", "a\nb\"c"])
    func faultsHaveLines(text: String) {
        let fault = #expect(throws: CSV.Fault.self) { try Self.rows(text) }
        #expect(fault?.line == 2)
    }
}
