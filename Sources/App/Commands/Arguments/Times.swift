import Glibc
import Values
import Workflow

/// How a command shows and reads times: in the time zone of whoever asks, or in UTC.
struct Times: Sendable {
    static let option = Option("utc", .flag, "show times in UTC instead of this machine's time zone")

    let isUTC: Bool

    init(_ invocation: Invocation) { isUTC = invocation.arguments.has("utc") }

    /// `2026-01-31 10:30:00 +01:00`; the text itself if it is no time, and nothing for null.
    func text(_ value: Value?, hasFraction: Bool = false) -> String {
        guard let text = value?.string else { return "" }
        guard let instant = Instant(rfc3339: text) else { return text }
        return self.text(instant, hasFraction: hasFraction)
    }

    func text(_ instant: Instant, hasFraction: Bool = false) -> String {
        let offset = isUTC ? 0 : Self.offset(at: instant)
        let local = Instant(microseconds: instant.microseconds + offset * 1_000_000).text
        // `2026-01-31T10:30:00.000Z`
        let parts = local.dropLast().split(separator: "T")
        let time = parts.last.map { hasFraction ? $0 : $0.prefix(8) } ?? ""
        return "\(parts.first ?? "") \(time) \(Self.zone(offset))"
    }

    /// Seconds east of UTC at that time, as the machine or `TZ` says.
    private static func offset(at instant: Instant) -> Int64 {
        var seconds = time_t(instant.seconds)
        var parts = tm()
        tzset()
        guard localtime_r(&seconds, &parts) != nil else { return 0 }
        return Int64(parts.tm_gmtoff)
    }

    private static func zone(_ offset: Int64) -> String {
        if offset == 0 { return "UTC" }
        func two(_ number: UInt64) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let size = offset.magnitude / 60
        return (offset < 0 ? "-" : "+") + two(size / 60) + ":" + two(size % 60)
    }

    /// The time that an option says: RFC 3339, or a duration such as `10m` for so long ago.
    ///
    /// - Returns: RFC 3339 in UTC; nil if the option is not given.
    /// - Throws: Exit code 2 for any other text.
    static func instant(
        _ name: String, _ invocation: Invocation, now: Instant
    ) throws(CommandFailure) -> String? {
        guard let text = invocation.arguments.text(name) else { return nil }
        if let ago = DurationText.read(text) {
            let (start, overflows) = now.microseconds.subtractingReportingOverflow(ago.microseconds)
            return Instant(microseconds: overflows ? 0 : max(0, start)).text
        }
        guard let instant = read(text) else {
            throw .usage(
                "`--\(name)` must be a time or so long ago, not `\(text)`",
                hint: "such as 10m, 2h, 7d, 2026-01-31 or 2026-01-31T09:30:00Z")
        }
        return instant.text
    }

    /// A time as RFC 3339 writes it, or as ``text(_:hasFraction:)`` does; nil for anything else.
    static func read(_ text: String) -> Instant? {
        var exact = text
        if exact.hasSuffix(" UTC") { exact = exact.dropLast(4) + "Z" }
        if let blank = exact.lastIndex(of: " "), exact[blank...].count == 7 { exact.remove(at: blank) }
        return Instant(rfc3339: exact)
    }
}

/// How long something took, for people: `12 ms`, `3.4 s`, `5m20s`.
func durationText(_ milliseconds: Int64) -> String {
    if milliseconds < 1000 { return "\(milliseconds) ms" }
    if milliseconds < 60_000 { return "\(milliseconds / 1000).\(milliseconds % 1000 / 100) s" }
    return DurationText.write(.seconds(milliseconds / 1000))
}
