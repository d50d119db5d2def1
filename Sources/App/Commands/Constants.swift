import Values
import Workflow
import WorkflowYAML

/// What replaces constants of `vars:` when a file is deployed.
struct Constants {
    private enum New {
        /// Of `--var`: text, or YAML in place of a list or a map.
        case text(String)
        /// Of `--vars-file`: with its own type.
        case value(Value, file: String)
    }

    private var constants: [(name: String, new: New)] = []

    /// - Throws: Exit code 2 for a file that cannot be read or holds no map, and for a text without `=`.
    init(files: [String], texts: [String]) throws(CommandFailure) {
        for file in files { try add(file) }
        for text in texts {
            guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
                throw .usage("`--var \(text)` is no NAME=VALUE")
            }
            set(String(text[..<equals]), .text(String(text[text.index(after: equals)...])))
        }
    }

    private mutating func set(_ name: String, _ new: New) {
        constants.removeAll { $0.name.hasSameBytes(as: name) }
        constants.append((name, new))
    }

    private mutating func add(_ path: String) throws(CommandFailure) {
        let bytes: [UInt8]
        do throws(Files.Problem) { bytes = try Files.read(path) } catch {
            throw CommandFailure(
                .usage, "file_unreadable", "the file of --vars-file cannot be read: \(error.reason)",
                place: path)
        }
        switch DocumentReader.read(bytes) {
        case .success(let node):
            guard let object = node.value.object else {
                throw CommandFailure(
                    .usage, "vars_file_unfit",
                    "the file of --vars-file holds a \(node.value.kindName) and no map", place: path,
                    hint: "write one `name: value` a line")
            }
            for member in object.members { set(member.name, .value(member.value, file: path)) }
        case .failure(let failure):
            let problem = failure.problems.first
            throw CommandFailure(
                .usage, "vars_file_unfit",
                "the file of --vars-file is neither YAML nor JSON: \(problem?.message ?? "it cannot be read")",
                place: problem.map { "\(path):\($0.mark.line):\($0.mark.column)" } ?? path,
                hint: problem?.hint)
        }
    }

    /// - Throws: Exit code 2 for a name that no file has: it would be dropped.
    func checkUse(in vars: [Value]) throws(CommandFailure) {
        let known = Set(vars.flatMap { $0.object?.members.map(\.name) ?? [] })
        for constant in constants where !known.contains(constant.name) {
            throw .usage(
                "no file has a constant `\(constant.name)` under `vars:`",
                hint: Suggestion.hint(for: constant.name, among: known.sorted()))
        }
    }

    /// The new values of the constants that a file has.
    func replacements(in source: [UInt8]) throws(CommandFailure) -> [String: Value] {
        guard !constants.isEmpty, case .success(let node) = DocumentReader.read(source),
            let vars = node.value.object?["vars"]?.object
        else { return [:] }
        var values: [String: Value] = [:]
        for (name, new) in constants {
            if let old = vars[name] { values[name] = try Self.value(new, name, inPlaceOf: old) }
        }
        return values
    }

    /// The file's own bytes if nothing is replaced, so that the server keeps what was written.
    func replaced(in source: [UInt8]) throws(CommandFailure) -> [UInt8] {
        guard case .success(let node) = DocumentReader.read(source), var document = node.value.object,
            var vars = document["vars"]?.object
        else { return source }
        let values = try replacements(in: source)
        if values.isEmpty { return source }
        for (name, value) in values { vars[name] = value }
        document["vars"] = .object(vars)
        return JSON.bytes(.object(document))
    }

    /// A list stays a list and a map a map; anything else may be replaced by anything else.
    private static func value(
        _ new: New, _ name: String, inPlaceOf old: Value
    ) throws(CommandFailure) -> Value {
        let isCollection = old.array != nil || old.object != nil
        switch new {
        case .text(let text):
            guard isCollection else { return .string(text) }
            guard case .success(let node) = DocumentReader.read(Array(text.utf8)),
                node.value.kindName == old.kindName
            else {
                let example = old.array == nil ? "{first: 1, second: 2}" : "[1, 2]"
                throw .usage(
                    "`--var \(name)=…`: the file has a \(old.kindName) there, and this is none",
                    hint: "write it as YAML in one line, between quotes of the shell: '\(name)=\(example)'")
            }
            return node.value
        case .value(let value, let file):
            let isNewCollection = value.array != nil || value.object != nil
            guard isCollection || isNewCollection, value.kindName != old.kindName else { return value }
            throw CommandFailure(
                .usage, "vars_file_unfit",
                "`\(name)`: the workflow has a \(old.kindName) there, and the file of --vars-file a "
                    + value.kindName, place: file)
        }
    }
}
