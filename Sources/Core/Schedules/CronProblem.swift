/// Why a text is no cron expression.
package struct CronProblem: Error, Sendable, Hashable {
    /// The fields in the order of the text.
    package enum Field: String, Sendable, CaseIterable {
        case minute, hour
        case dayOfMonth = "day of month"
        case month
        case dayOfWeek = "day of week"

        var bounds: ClosedRange<Int> {
            switch self {
            case .minute: 0...59
            case .hour: 0...23
            case .dayOfMonth: 1...31
            case .month: 1...12
            case .dayOfWeek: 0...7
            }
        }

        /// Names of three letters; the first stands for the field's least number.
        var names: [String] {
            switch self {
            case .month: ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
            case .dayOfWeek: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
            default: []
            }
        }
    }

    /// Nil if the text as a whole is invalid.
    package var field: Field?
    /// The message, as a sentence without a full stop that names the field.
    package var message: String
    /// The number of bytes before the fault.
    package var offset: Int
}
