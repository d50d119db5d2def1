import CYAML
import Workflow

/// A parser event with its position.
struct YAMLEvent {
    enum Kind {
        case documentStart
        case documentEnd
        case streamEnd
        case scalar(text: String, isPlain: Bool)
        case listStart(isFlow: Bool)
        case listEnd
        case mapStart(isFlow: Bool)
        case mapEnd
        case alias(String)
    }

    var kind: Kind
    var mark: Mark
    /// Its range in the file, in Unicode scalars.
    var range: Range<Int>
    var anchor: String?
    var tag: String?
}

/// An error in the text that ends the reading.
struct YAMLFault: Error {
    var problem: Problem
}

/// The events of libyaml over bytes that must outlive this object.
///
/// It frees the parser and every event, even if an error is thrown.
final class YAMLEvents {
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let isUsable: Bool

    init(bytes: UnsafeBufferPointer<UInt8>) {
        parser = .allocate(capacity: 1)
        isUsable = yaml_parser_initialize(parser) == 1
        guard isUsable else { return }
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        yaml_parser_set_input_string(parser, bytes.baseAddress, bytes.count)
    }

    deinit {
        if isUsable { yaml_parser_delete(parser) }
        parser.deallocate()
    }

    /// The next event; the start of the stream is skipped.
    func next() throws(YAMLFault) -> YAMLEvent {
        while true {
            var raw = yaml_event_t()
            guard isUsable, yaml_parser_parse(parser, &raw) == 1 else { throw fault }
            defer { yaml_event_delete(&raw) }
            if let event = Self.event(raw) { return event }
        }
    }

    private var fault: YAMLFault {
        guard isUsable, let text = parser.pointee.problem else {
            return YAMLFault(
                problem: Problem(.syntax, at: Mark(line: 1, column: 1), "the text cannot be read"))
        }
        // For the reader's own errors (a control character), only the parser's position is set.
        let isReaderFault = parser.pointee.error == YAML_READER_ERROR
        let message = String(cString: text)
        // The position of an unclosed quote is more useful than the end of the file.
        let isUnclosed = message == "found unexpected end of stream" && parser.pointee.context != nil
        let found = isUnclosed ? parser.pointee.context_mark : parser.pointee.problem_mark
        return YAMLFault(
            problem: Problem(.syntax, at: Mark(isReaderFault ? parser.pointee.mark : found), message))
    }

    private static func event(_ raw: yaml_event_t) -> YAMLEvent? {
        var anchor: UnsafeMutablePointer<yaml_char_t>?
        var tag: UnsafeMutablePointer<yaml_char_t>?
        let kind: YAMLEvent.Kind
        switch raw.type {
        case YAML_DOCUMENT_START_EVENT: kind = .documentStart
        case YAML_DOCUMENT_END_EVENT: kind = .documentEnd
        case YAML_STREAM_END_EVENT: kind = .streamEnd
        case YAML_MAPPING_END_EVENT: kind = .mapEnd
        case YAML_SEQUENCE_END_EVENT: kind = .listEnd
        case YAML_ALIAS_EVENT: kind = .alias(text(raw.data.alias.anchor) ?? "")
        case YAML_SCALAR_EVENT:
            let scalar = raw.data.scalar
            (anchor, tag) = (scalar.anchor, scalar.tag)
            let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            kind = .scalar(
                text: String(decoding: bytes, as: UTF8.self), isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE
            )
        case YAML_SEQUENCE_START_EVENT:
            let start = raw.data.sequence_start
            (anchor, tag) = (start.anchor, start.tag)
            kind = .listStart(isFlow: start.style == YAML_FLOW_SEQUENCE_STYLE)
        case YAML_MAPPING_START_EVENT:
            let start = raw.data.mapping_start
            (anchor, tag) = (start.anchor, start.tag)
            kind = .mapStart(isFlow: start.style == YAML_FLOW_MAPPING_STYLE)
        default: return nil
        }
        let (first, last) = (Int(clamping: raw.start_mark.index), Int(clamping: raw.end_mark.index))
        return YAMLEvent(
            kind: kind, mark: Mark(raw.start_mark), range: first..<max(first, last), anchor: text(anchor),
            tag: text(tag))
    }

    private static func text(_ pointer: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        pointer.map { String(cString: $0) }
    }
}

extension Mark {
    fileprivate init(_ mark: yaml_mark_t) {
        self.init(line: Int(clamping: mark.line) + 1, column: Int(clamping: mark.column) + 1)
    }
}
