extension CompletionTree {
    private static let head = "millrace: made by `millrace completions`, from the table of its commands"

    // MARK: - bash

    var bash: String {
        """
        # \(Self.head)
        _millrace() {
            local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
            local place="" word next candidates=""
            COMPREPLY=()
            for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
                next=${place:+$place }$word
                case $next in
                    \(pattern(names))) place=$next ;;
                    *) [ -n "$place" ] || place="?"; break ;;
                esac
            done
            case "$place $previous" in
        \(values(indent: 8) { "COMPREPLY=($(compgen -W \(Self.quoted($0.joined(separator: " "))) -- \"$current\"))" } file: { "COMPREPLY=($(compgen -f -- \"$current\"))" } any: { "COMPREPLY=()" })
            esac
            case $place in
        \(candidates { "candidates=\(Self.quoted($0.joined(separator: " ")))" })
            esac
            COMPREPLY=($(compgen -W "$candidates" -- "$current"))
        }
        complete -o default -F _millrace millrace
        """
    }

    // MARK: - zsh

    var zsh: String {
        """
        #compdef millrace
        # \(Self.head)
        _millrace() {
            local place="" word next
            local -a candidates
            for word in "${(@)words[2,CURRENT-1]}"; do
                next="${place:+$place }$word"
                case $next in
                    (\(pattern(names))) place=$next ;;
                    (*) [ -n "$place" ] || place="?"; break ;;
                esac
            done
            case "$place ${words[CURRENT-1]}" in
        \(values(indent: 8) { "compadd -- \($0.joined(separator: " "))" } file: { "_files" } any: { "_message value" })
            esac
            case $place in
        \(described)
            esac
            _describe -t values millrace candidates || _files
        }
        if [ "$funcstack[1]" = "_millrace" ]; then _millrace "$@"; else compdef _millrace millrace; fi
        """
    }

    private var described: String {
        places.map { place in
            let words = place.words + place.options.map { Word(text: "--\($0.name)", summary: $0.summary) }
            let items = words.map { Self.quoted("\($0.text):\($0.summary.replacing(":", with: "\\:"))") }
            return "        (\(pattern([place.name]))) candidates=(\(items.joined(separator: " "))) ;;"
        }.joined(separator: "\n")
    }

    // MARK: - fish

    var fish: String {
        var lines = [
            "# \(Self.head)", "set -g __millrace_places \(names.map(Self.fishQuoted).joined(separator: " "))",
            """
            function __millrace_at
                set -l place ''
                for word in (commandline -opc)[2..-1]
                    set -l next (string trim -- "$place $word")
                    if not contains -- "$next" $__millrace_places
                        test -n "$place"; or set place '?'
                        break
                    end
                    set place $next
                end
                test "$place" = "$argv"
            end
            """,
        ]
        for place in places { lines += fishLines(of: place) }
        return lines.joined(separator: "\n")
    }

    private func fishLines(of place: Place) -> [String] {
        let start = "complete -c millrace -n \(Self.fishQuoted("__millrace_at \(place.name)"))"
        let words = place.words.map {
            "\(start) -f -a \(Self.fishQuoted($0.text)) -d \(Self.fishQuoted($0.summary))"
        }
        let options = place.options.map { option in
            var line = "\(start) -l \(option.name) -d \(Self.fishQuoted(option.summary))"
            if let choices = option.choices {
                line += " -x -a \(Self.fishQuoted(choices.joined(separator: " ")))"
            } else if option.kind != .flag {
                line += option.takesFile ? " -r" : " -x"
            }
            return line
        }
        return words + options
    }

    private static func fishQuoted(_ text: String) -> String {
        "'" + text.replacing("\\", with: "\\\\").replacing("'", with: "\\'") + "'"
    }

    // MARK: - Parts of bash and zsh

    /// `'runs'|'secrets set'`.
    private func pattern(_ names: [String]) -> String { names.map(Self.quoted).joined(separator: "|") }

    private func candidates(_ line: ([String]) -> String) -> String {
        places.map { place in
            let words = place.words.map(\.text) + place.options.map { "--\($0.name)" }
            return "        \(pattern([place.name]))) \(line(words)) ;;"
        }.joined(separator: "\n")
    }

    /// A branch for each option that takes a value.
    private func values(
        indent: Int, _ choices: ([String]) -> String, file: () -> String, any: () -> String
    ) -> String {
        let blanks = String(repeating: " ", count: indent)
        return places.flatMap { place in
            place.options.filter { $0.kind != .flag }.map { option in
                let action = option.choices.map(choices) ?? (option.takesFile ? file() : any())
                return "\(blanks)\(Self.quoted("\(place.name) --\(option.name)"))) \(action); return ;;"
            }
        }.joined(separator: "\n")
    }
}
