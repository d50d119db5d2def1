import Testing
import Values

@Suite("Texts as people are shown them")
struct ShownTextTests {
    @Test("control characters become blanks, and what is cut says so, within the bound")
    func linesAreBounded() {
        #expect(ShownText.line("a\n\u{1B}[2Jb\u{85}c") == "a  [2Jb c")
        #expect(ShownText.line("abcdef", byteCountMax: 6) == "abcdef")
        #expect(ShownText.line("abcdefg", byteCountMax: 6) == "abc…")
        #expect(ShownText.line("éééé", byteCountMax: 7) == "éé…")
        #expect(ShownText.line(String(repeating: "x", count: 5_000)).utf8.count == 1_024)
    }
}
