package import Schedules

/// The rules of the zones in the time zone database.
package protocol TimeZones: Sendable {
    /// The rules of a zone by its name, such as `Europe/Amsterdam`; `UTC` always exists.
    func rules(of name: String) throws(TimeZoneError) -> TimeZoneRules
}

/// Why a zone has no rules.
package enum TimeZoneError: Error, Sendable, Hashable {
    /// The database has no such zone.
    case unknown(name: String)
    /// The database has the zone, but its data cannot be used.
    case malformed(name: String, reason: String)
    /// The database cannot be read; a retry may succeed.
    case unreadable(name: String, reason: String)
}

extension TimeZoneError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .unknown(let name): "there is no time zone \(name)"
        case .malformed(let name, let reason): "the time zone \(name) cannot be used: \(reason)"
        case .unreadable(let name, let reason): "the time zone \(name) cannot be read: \(reason)"
        }
    }
}
