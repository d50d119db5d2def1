import Testing
import Values

@Suite("Dates of HTTP headers")
struct HTTPDateTests {
    @Test("the preferred form is read to the second")
    func preferredForm() {
        #expect(Instant(httpDate: "Sun, 06 Nov 1994 08:49:37 GMT")?.seconds == 784_111_777)
        #expect(Instant(httpDate: "Thu, 29 Feb 2024 00:00:00 GMT")?.text == "2024-02-29T00:00:00.000Z")
    }

    @Test(
        "other texts are no dates",
        arguments: [
            "", "120", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 31 Feb 2024 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 25:49:37 GMT",
        ])
    func otherTexts(text: String) { #expect(Instant(httpDate: text) == nil) }
}
