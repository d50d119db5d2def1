package import Schedules

/// The rules of the places that the time zone database names.
package protocol TimeZones: Sendable {
    /// The rules of `Europe/Amsterdam` or another name of the database; `UTC` always exists.
    func rules(of name: String) throws(TimeZoneError) -> TimeZoneRules
}

/// Why there are no rules of a name.
package enum TimeZoneError: Error, Sendable, Hashable {
    /// The database has no such place.
    case unknown(name: String)
    /// It has, and what it says cannot be used.
    case malformed(name: String, reason: String)
    /// The database cannot be read; trying again may help.
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
