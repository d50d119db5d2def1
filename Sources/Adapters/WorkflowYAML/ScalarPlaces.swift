import Workflow

/// Finds the position of each line of a scalar in the file by walking text and file together.
///
/// Folding, indentation and quoting make them differ. If the walk loses track, the last known place applies.
/// So a place may be a few columns off inside escaped text, but never on an earlier line.
struct ScalarPlaces {
    private let source: SourceText
    private let end: Int
    private var position: Int
    private var mark: Mark
    private var quote: Unicode.Scalar?

    static func places(of text: String, event: YAMLEvent, in source: SourceText) -> [Node.Place] {
        var walk = ScalarPlaces(
            source: source, end: event.range.upperBound, position: event.range.lowerBound, mark: event.mark)
        return walk.places(of: text)
    }

    private init(source: SourceText, end: Int, position: Int, mark: Mark) {
        (self.source, self.end, self.position, self.mark) = (
            source, min(end, source.scalars.count), position, mark
        )
    }

    private mutating func places(of text: String) -> [Node.Place] {
        switch source[position] {
        case "\"", "'":
            quote = source[position]
            pass()
        case "|", ">":
            while position < end, source[position] != "\n" { pass() }
            pass()
        default: break
        }
        let start = mark
        var found: [Node.Place] = []
        var offset = 0
        for scalar in text.unicodeScalars {
            guard seek(scalar) else { break }
            let isBlank = scalar == " " || scalar == "\n" || scalar == "\t"
            if !isBlank, (found.last?.mark.line ?? 0) != mark.line {
                found.append(Node.Place(offset: offset, mark: mark))
            }
            pass()
            offset += UTF8.width(scalar)
        }
        return found.isEmpty ? [Node.Place(offset: 0, mark: start)] : found
    }

    /// Moves to `scalar`, past what YAML removes; false if the walk loses track.
    private mutating func seek(_ scalar: Unicode.Scalar) -> Bool {
        while position < end, let here = source[position] {
            if quote == "\"", here == "\\" {
                pass()
                return position < end
            }
            if quote == "'", here == "'", scalar == "'" { pass() }
            if here == scalar { return true }
            if scalar == "\n", here == "\r" { return true }
            guard here == " " || here == "\t" || here == "\n" || here == "\r" else { return false }
            if scalar == " ", here == "\n" || here == "\r" { return true }
            pass()
        }
        return false
    }

    private mutating func pass() {
        guard let here = source[position] else { return }
        mark.pass(here, before: source[position + 1])
        position += 1
    }
}
