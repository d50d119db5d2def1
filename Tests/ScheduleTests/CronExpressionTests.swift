import Schedules
import Testing
import Values

@Suite("Cron expressions")
struct CronExpressionTests {
    private static func minutes(_ text: String) throws -> [Int] {
        let cron = try CronExpression("\(text) 0 1 1 *")
        return (0..<60).filter { cron.fits(LocalTime(2026, 1, 1, 0, $0)) }
    }

    @Test(
        "lists, ranges and steps give their numbers",
        arguments: [
            ("5", [5]), ("0,59", [0, 59]), ("1-3,2-4", [1, 2, 3, 4]), ("*/20", [0, 20, 40]),
            ("10-30/10", [10, 20, 30]), ("40/10", [40, 50]), ("7/9999", [7]), ("00", [0]),
            ("58-59", [58, 59]),
        ])
    func numbers(text: String, expected: [Int]) throws {
        #expect(try Self.minutes(text) == expected)
    }

    @Test("0, 7 and sun are Sunday, in ranges as well, and names are read in any case")
    func weekdays() throws {
        // 4 January 2026 is a Sunday.
        func days(_ text: String) throws -> [Int] {
            let cron = try CronExpression("0 0 * * \(text)")
            return (4...10).filter { cron.fits(LocalTime(2026, 1, $0)) }.map { $0 - 4 }
        }
        for text in ["0", "7", "sun", "SUN"] { #expect(try days(text) == [0]) }
        #expect(try days("mon-fri") == [1, 2, 3, 4, 5])
        #expect(try days("5-7") == [0, 5, 6])
        #expect(try days("Fri-Sun") == [0, 5, 6])
        #expect(try days("*/2") == [0, 2, 4, 6])
        #expect(try days("*") == Array(0...6))
    }

    @Test("months have names")
    func months() throws {
        let cron = try CronExpression("0 0 1 jan,OCT-dec *")
        #expect((1...12).filter { cron.fits(LocalTime(2026, $0, 1)) } == [1, 10, 11, 12])
    }

    @Test("where both day fields are restricted a day fits that fits one of them, else it fits both")
    func eitherDay() throws {
        // Fridays of February 2026: 6, 13, 20, 27.
        func days(_ text: String) throws -> [Int] {
            let cron = try CronExpression("0 0 \(text)")
            return (1...28).filter { cron.fits(LocalTime(2026, 2, $0)) }
        }
        #expect(try days("13 * fri") == [6, 13, 20, 27])
        #expect(try days("1 * fri") == [1, 6, 13, 20, 27])
        #expect(try days("* * fri") == [6, 13, 20, 27])
        #expect(try days("1 * *") == [1])
        #expect(try days("*/13 * fri") == [27])
    }

    @Test(
        "an alias is its five fields",
        arguments: [
            ("@hourly", "0 * * * *"), ("@daily", "0 0 * * *"), ("@weekly", "0 0 * * sun"),
            ("@MONTHLY", "0 0 1 * *"), ("@yearly", "0 0 1 1 *"),
        ])
    func alias(text: String, fields: String) throws {
        #expect(try CronExpression(text) == CronExpression(fields))
    }

    @Test(
        "blanks and line ends around and between the fields do not matter",
        arguments: [
            ("@yearly ", "@yearly"), (" @yearly", "@yearly"), ("\t@Daily \r\n", "@daily"),
            ("@hourly\n", "@hourly"),
            (" 0 9 * * 1-5 \n", "0 9 * * 1-5"), ("0\t9\r\n*  *\n1-5", "0 9 * * 1-5"),
        ])
    func blanks(text: String, same: String) throws {
        #expect(try CronExpression(text) == CronExpression(same))
    }

    @Test(
        "a name with blanks inside, or with more behind it, is none",
        arguments: ["@ yearly", "@daily @daily", "@"])
    func brokenAlias(text: String) {
        #expect(throws: CronProblem.self) { try CronExpression(text) }
    }

    @Test(
        "what is no expression names its field and place",
        arguments: [
            ("60 * * * *", CronProblem.Field.minute, 2), ("* 24 * * *", .hour, 4),
            ("* * 0 * *", .dayOfMonth, 5),
            ("* * 32 * *", .dayOfMonth, 6), ("* * * 13 *", .month, 8), ("* * * * 8", .dayOfWeek, 9),
            ("5-1 * * * *", .minute, 3), ("*/0 * * * *", .minute, 3), (", * * * *", .minute, 0),
            ("1, * * * *", .minute, 2), ("1- * * * *", .minute, 2), ("1x * * * *", .minute, 1),
            ("* * * ja *", .month, 6), ("* mon * * *", .hour, 2), ("* * L * *", .dayOfMonth, 4),
            ("* * ? * *", .dayOfMonth, 4), ("99999999999999999999 * * * *", .minute, 4),
            ("0 0 30 2 *", .dayOfMonth, 4), ("0 0 31 4,6,9,nov *", .dayOfMonth, 4),
            ("-1 * * * *", .minute, 0), ("* * * * 1#2", .dayOfWeek, 9), ("é * * * *", .minute, 0),
        ])
    func faults(text: String, field: CronProblem.Field, offset: Int) {
        let problem = #expect(throws: CronProblem.self) { try CronExpression(text) }
        #expect(problem?.field == field)
        #expect(problem?.offset == offset)
        #expect(problem?.message.contains("the \(field.rawValue) ") == true)
    }

    @Test(
        "what has not five fields is refused as a whole",
        arguments: ["", " ", "* * * *", "* * * * * *", "@reboot", "@", String(repeating: "1,", count: 200)])
    func wholeFaults(text: String) {
        let problem = #expect(throws: CronProblem.self) { try CronExpression(text) }
        #expect(problem?.field == nil)
    }

    @Test("a day that only leap years or only weekdays give is none that never comes")
    func rareDays() throws {
        _ = try CronExpression("0 0 29 2 *")
        _ = try CronExpression("0 0 30 2 mon")
        _ = try CronExpression("0 0 31 2,3 *")
    }
}
