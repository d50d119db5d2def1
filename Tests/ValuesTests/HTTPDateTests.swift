import Testing
import Values

@Suite("Dates of HTTP headers")
struct HTTPDateTests {
    private let now = Instant(rfc3339: "2026-12-01T00:00:00Z") ?? Instant(microseconds: 0)

    @Test(
        "all three forms are read to the second",
        arguments: [
            ("Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37.000Z"),
            ("Sunday, 06-Nov-94 08:49:37 GMT", "1994-11-06T08:49:37.000Z"),
            ("Sun Nov  6 08:49:37 1994", "1994-11-06T08:49:37.000Z"),
            ("Wed Nov 16 08:49:37 1994", "1994-11-16T08:49:37.000Z"),
            ("Thu, 29 Feb 2024 00:00:00 GMT", "2024-02-29T00:00:00.000Z"),
            ("Tuesday, 01-Dec-26 00:00:10 GMT", "2026-12-01T00:00:10.000Z"),
            ("Wednesday, 01-Jan-76 00:00:00 GMT", "2076-01-01T00:00:00.000Z"),
            ("Saturday, 01-Jan-77 00:00:00 GMT", "1977-01-01T00:00:00.000Z"),
        ])
    func forms(text: String, expected: String) {
        #expect(Instant(httpDate: text, now: now)?.text == expected)
    }

    @Test(
        "other texts are no dates",
        arguments: [
            "", "120", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 31 Feb 2024 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 25:49:37 GMT",
            "Sun, 06 Nov +994 08:49:37 GMT", "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 CET", "Sunday, 6-Nov-94 08:49:37 GMT", "Sun Nov 6 08:49:37 1994",
            "Sun Nov  6 08:49:37 94", "Sun Nov  66 08:49:37 1994", "Sun Nov  6 08:49:37 1994 GMT",
            "Xyz, 06 Nov 1994 08:49:37 GMT", "    ", " , -- :: GMT", "2026-12-01T00:00:00Z",
        ])
    func otherTexts(text: String) { #expect(Instant(httpDate: text, now: now) == nil) }
}
