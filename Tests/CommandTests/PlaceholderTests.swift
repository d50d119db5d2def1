import Testing

@Suite("placeholder")
struct Placeholder {
    @Test("placeholder") func nothing() {}
}
