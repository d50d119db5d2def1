/// Why a text is no cron expression.
package struct CronProblem: Error, Sendable, Hashable {
    /// What a position in the text stands for.
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

        /// Three letters each, the first standing for the field's least number.
        var names: [String] {
            switch self {
            case .month: ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
            case .dayOfWeek: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
            default: []
            }
        }
    }

    /// Nil where the text as a whole is at fault.
    package var field: Field?
    /// What is wrong, as a sentence without a full stop that names the field.
    package var message: String
    /// Bytes from the start of the text to what is wrong.
    package var offset: Int
}
