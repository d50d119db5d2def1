/// The kinds of problems; a number is never reused with another meaning.
///
/// `docs/problems.md` gives the cause and remedy of each, and a test compares it with this list.
package enum ProblemCode: String, CaseIterable, Sendable {
    // The text of the file.
    case notUTF8 = "MR1001"
    case fileTooLarge = "MR1002"
    case syntax = "MR1003"
    case tooDeep = "MR1004"
    case tooManyNodes = "MR1005"
    case scalarTooLong = "MR1006"
    case duplicateName = "MR1007"
    case tag = "MR1008"
    case mergeKey = "MR1009"
    case alias = "MR1010"
    case severalDocuments = "MR1011"
    case emptyDocument = "MR1012"
    case splitExpression = "MR1013"
    case bareBraces = "MR1014"
    case tab = "MR1015"
    case nameNotText = "MR1016"
    case lineSeparator = "MR1017"

    // Keys and values.
    case unknownKey = "MR1101"
    case missingKey = "MR1102"
    case wrongType = "MR1103"
    /// Used by earlier versions only; no known key is refused any more.
    case notAvailableYet = "MR1104"
    case badName = "MR1105"
    case badVersion = "MR1106"
    case badIdentifier = "MR1107"
    case badChoice = "MR1108"
    case outOfRange = "MR1109"
    case badDuration = "MR1110"
    case notConstant = "MR1111"
    case emptyList = "MR1112"
    case conflictingKeys = "MR1113"
    case badSignalName = "MR1114"
    case badTime = "MR1115"
    case badCron = "MR1116"
    case badTimeZone = "MR1117"

    // Steps and their order.
    case duplicateStep = "MR1201"
    case stepKind = "MR1202"
    case unknownStep = "MR1203"
    case cycle = "MR1204"
    case stepNotSettled = "MR1205"
    case afterInList = "MR1206"
    case noStepsYet = "MR1207"
    case tooManySteps = "MR1208"
    case keyNotForKind = "MR1209"
    case shadowedStep = "MR1210"
    case groupsTooDeep = "MR1211"

    // Expressions.
    case unbalanced = "MR1301"
    case emptyExpression = "MR1302"
    case expressionDoesNotCompile = "MR1303"
    case nullGuard = "MR1304"
    case expressionInName = "MR1305"
    case expressionMissing = "MR1306"
    case unknownName = "MR1307"
    case unknownMember = "MR1308"
    case foreignSyntax = "MR1309"
    case keyNeverRepeats = "MR1310"

    // JSON Schemas.
    case badSchema = "MR1401"
    case unknownSchema = "MR1402"

    // Requests.
    case badURL = "MR1501"
    case badHeader = "MR1502"
    case twoAuthorizations = "MR1503"
    case controlCharacter = "MR1504"
    case badSensitivePath = "MR1505"

    // Warnings: the file is usable.
    case openWebhook = "MR1901"
    case ownIdempotencyKey = "MR1902"
    case pointlessRetry = "MR1903"
    case replyToNobody = "MR1904"
    case pointlessTimeoutRule = "MR1905"
    case undeclaredMember = "MR1906"
    case keyPartMayBeMissing = "MR1907"

    package var severity: Problem.Severity {
        switch self {
        case .openWebhook, .ownIdempotencyKey, .pointlessRetry, .replyToNobody, .pointlessTimeoutRule,
            .undeclaredMember, .keyPartMayBeMissing:
            .warning
        default: .error
        }
    }
}
