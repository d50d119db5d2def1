import Values
import Workflow

/// The settings of one command: flag before variable before file before default, each checked.
package struct SettingValues: Sendable {
    private var values: [String: String] = [:]
    /// For each, how far down the order of sources it was found: 0 for a flag.
    private var ranks: [String: Int] = [:]

    /// Reads and checks the settings of a command.
    ///
    /// - Parameters:
    ///   - settings: Those that the command knows; a file may hold any of ``SettingTable/all``.
    ///   - arguments: The command line.
    ///   - environment: The variables.
    /// - Throws: ``CommandFailure`` with exit code 2 that names the source of a wrong value.
    package init(
        _ settings: [Setting], arguments: ParsedArguments, environment: [String: String]
    ) throws(CommandFailure) {
        let file = try Self.file(arguments: arguments, environment: environment)
        for setting in settings {
            let candidates = [
                (Self.flag(setting, arguments), "--\(setting.name)"),
                (environment[setting.variable], setting.variable),
                (file.values[setting.name]?.value, "\(file.path):\(file.values[setting.name]?.line ?? 0)"),
            ]
            let rank = candidates.firstIndex { $0.0 != nil }
            let (value, place) = rank.map { candidates[$0] } ?? (setting.standard, "the default")
            guard let value else { continue }
            if let complaint = setting.complaint(about: value), !(value.isEmpty && setting.standard == "") {
                throw CommandFailure(
                    .usage, "bad_setting", "the setting `\(setting.name)` \(complaint)", place: place,
                    hint: "see docs/configuration.md")
            }
            values[setting.name] = value
            ranks[setting.name] = rank
        }
    }

    /// Of two settings that say the same in different ways, whether the second comes from an earlier source.
    func prefers(_ second: String, to first: String) -> Bool {
        (ranks[second] ?? .max) < (ranks[first] ?? .max)
    }

    package func text(_ name: String) -> String? { values[name] }

    /// A setting that has a default.
    package func integer(_ name: String) -> Int64 { values[name].flatMap { Int64($0) } ?? 0 }
    package func duration(_ name: String) -> Duration {
        values[name].flatMap { DurationText.read($0) } ?? .zero
    }
    package func address(_ name: String) -> SocketAddress {
        values[name].flatMap { SocketAddress($0) } ?? SocketAddress(host: "127.0.0.1", port: 0)
    }

    /// Without slashes at its end, so that a path can be appended.
    package func url(_ name: String) -> String? {
        guard var text = values[name] else { return nil }
        while text.hasSuffix("/") { text.removeLast() }
        return text
    }

    private static func flag(_ setting: Setting, _ arguments: ParsedArguments) -> String? {
        let given = arguments.all(setting.name)
        return given.isEmpty ? nil : setting.kind == .destinations ? given.joined(separator: ",") : given.last
    }

    // MARK: - The file

    private struct File {
        var path = ""
        var values: [String: (value: String, line: Int)] = [:]
    }

    private static func file(
        arguments: ParsedArguments, environment: [String: String]
    ) throws(CommandFailure) -> File {
        let named = arguments.text("config") ?? environment["MILLRACE_CONFIG"]
        let path = named ?? "millrace.conf"
        if named == nil, !Files.exists(path) { return File() }
        let bytes: [UInt8]
        do throws(Files.Problem) { bytes = try Files.read(path) } catch {
            throw CommandFailure(
                .usage, "config_unreadable", "the file of settings cannot be read: \(error.reason)",
                place: path)
        }
        return try parse(String(decoding: bytes, as: UTF8.self), path: path).get()
    }

    /// Lines of `name = value`; empty ones and those that start with `#` say nothing.
    private static func parse(_ text: String, path: String) -> Result<File, CommandFailure> {
        var file = File(path: path)
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = String(line).trimmed
            if line.isEmpty || line.hasPrefix("#") { continue }
            func refuse(_ message: String, hint: String?) -> Result<File, CommandFailure> {
                .failure(
                    CommandFailure(.usage, "bad_config", message, place: "\(path):\(index + 1)", hint: hint))
            }
            let halves = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard halves.count == 2 else {
                return refuse("this is no `name = value` line", hint: "a comment starts with #")
            }
            let name = String(halves[0]).trimmed
            guard SettingTable.all.contains(where: { $0.name.utf8.elementsEqual(name.utf8) }) else {
                return refuse(
                    "there is no setting `\(name)`",
                    hint: Suggestion.hint(for: name, among: SettingTable.all.map(\.name)))
            }
            if file.values[name] != nil { return refuse("`\(name)` is set twice", hint: nil) }
            file.values[name] = (String(halves[1]).trimmed, index + 1)
        }
        return .success(file)
    }
}
