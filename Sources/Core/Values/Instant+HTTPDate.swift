extension Instant {
    /// Reads the date of an HTTP header in its preferred form: `Sun, 06 Nov 1994 08:49:37 GMT`.
    ///
    /// Nil for anything else, the two obsolete forms included. The weekday is not compared.
    package init?(httpDate text: String) {
        let parts = text.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 6, parts[0].utf8.count == 4, parts[5] == "GMT", parts[1].utf8.count == 2,
            parts[3].utf8.count == 4, parts[4].utf8.count == 8,
            let month = Self.months.firstIndex(of: String(parts[2]))
        else { return nil }
        let number = String(month + 1)
        let padded = number.utf8.count == 1 ? "0" + number : number
        self.init(rfc3339: "\(parts[3])-\(padded)-\(parts[1])T\(parts[4])Z")
    }

    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
}
