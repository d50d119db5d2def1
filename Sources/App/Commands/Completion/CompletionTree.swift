/// What may follow each word of the command line, from the table of commands; the scripts of the shells are made
/// from it.
struct CompletionTree {
    /// A word with what it is for.
    struct Word {
        var text: String
        var summary: String
    }

    /// A command, or the first words of several.
    struct Place {
        /// `secrets set`; empty for the program itself.
        var name: String
        var words: [Word]
        var options: [Option]
    }

    let places: [Place]

    init(_ commands: [Command]) {
        let commands = commands.filter { !$0.isHidden }
        var paths: [[String]] = [[]]
        for command in commands {
            for count in 1...command.path.count {
                let path = Array(command.path.prefix(count))
                if !paths.contains(path) { paths.append(path) }
            }
        }
        places = paths.map { path in
            let own = commands.first { $0.path == path }
            return Place(
                name: path.joined(separator: " "), words: Self.words(behind: path, commands),
                options: own.map { $0.options + Command.commonOptions } ?? [])
        }
    }

    private static func words(behind path: [String], _ commands: [Command]) -> [Word] {
        var words: [Word] = []
        for command in commands where command.path.count > path.count && command.path.starts(with: path) {
            let text = command.path[path.count]
            guard !words.contains(where: { $0.text == text }) else { continue }
            let isWhole = command.path.count == path.count + 1
            words.append(Word(text: text, summary: isWhole ? command.summary : "\(text) …"))
        }
        if path == ["help"] { words = Self.words(behind: [], commands).filter { $0.text != "help" } }
        if path == ["completions"] {
            words = ["bash", "zsh", "fish"].map { Word(text: $0, summary: "the script of \($0)") }
        }
        return words
    }

    /// Names of all places but the program itself.
    var names: [String] { places.map(\.name).filter { !$0.isEmpty } }

    /// `'…'`, as `bash` and `zsh` quote it.
    static func quoted(_ text: String) -> String { "'" + text.replacing("'", with: "'\\''") + "'" }
}

extension Option {
    /// What may stand for its value; nil for anything.
    var choices: [String]? { if case .choice(let words) = kind { words } else { nil } }

    /// Whether its value is the name of a file or folder.
    var takesFile: Bool { ["FILE", "FOLDER", "JSON|@FILE|-"].contains(placeholder) }
}
