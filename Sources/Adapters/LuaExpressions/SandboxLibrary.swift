import CLuaSandbox

/// The functions that Swift offers to scripts, and the global names of the sandbox.
enum SandboxLibrary {
    enum Function: Int32, CaseIterable {
        case hmac, hmacBase64, sha256, sha512, equals, sign, verify
        case base64Encode, base64Decode, hexEncode, hexDecode
        case jsonEncode, jsonDecode
        case now, parseTime
        case toMinor, fromMinor
        case encodeURL, decodeURL
        case decodeCSV
        case decodeXML, getXML, allXML
        case formatTime, addTime
        case randomID

        /// The library and the name as scripts write them.
        ///
        /// Static strings, because C keeps the pointers.
        var name: (library: StaticString, function: StaticString) {
            switch self {
            case .hmac: ("crypto", "hmac")
            case .hmacBase64: ("crypto", "hmac_base64")
            case .sha256: ("crypto", "sha256")
            case .sha512: ("crypto", "sha512")
            case .equals: ("crypto", "equals")
            case .sign: ("crypto", "sign")
            case .verify: ("crypto", "verify")
            case .base64Encode: ("base64", "encode")
            case .base64Decode: ("base64", "decode")
            case .hexEncode: ("hex", "encode")
            case .hexDecode: ("hex", "decode")
            case .jsonEncode: ("json", "encode")
            case .jsonDecode: ("json", "decode")
            case .now: ("time", "now")
            case .parseTime: ("time", "parse")
            case .toMinor: ("money", "to_minor")
            case .fromMinor: ("money", "from_minor")
            case .encodeURL: ("url", "encode")
            case .decodeURL: ("url", "decode")
            case .decodeCSV: ("csv", "decode")
            case .decodeXML: ("xml", "decode")
            case .getXML: ("xml", "get")
            case .allXML: ("xml", "all")
            case .formatTime: ("time", "format")
            case .addTime: ("time", "add")
            case .randomID: ("random", "id")
            }
        }
    }

    /// The globals of the sandbox; a scope cannot have members with these names.
    static let names = Set(contents.keys)

    /// The members of each global; empty for a function.
    ///
    /// Names defined in C are repeated here, because C cannot list them; a test compares both.
    static let contents: [String: Set<String>] = {
        var contents: [String: Set<String>] = [
            "string": [
                "byte", "char", "contains", "ends_with", "find", "format", "gmatch", "gsub", "len", "lower",
                "match", "rep", "reverse", "split", "starts_with", "sub", "trim", "upper",
            ],
            "table": ["concat", "insert", "remove", "sort", "unpack"],
            "math": [
                "abs", "ceil", "floor", "fmod", "huge", "max", "maxinteger", "min", "mininteger", "pi",
                "tointeger", "type",
            ],
            "json": ["null"],
        ]
        for function in [
            "assert", "error", "ipairs", "len", "list", "next", "pairs", "rawequal", "rawlen", "select",
            "tonumber", "tostring", "type",
        ] {
            contents[function] = []
        }
        for function in Function.allCases {
            let (library, name) = function.name
            contents["\(library)", default: []].insert("\(name)")
        }
        return contents
    }()

    static func makeTable() -> [millrace_lua_function] {
        Function.allCases.compactMap { function in
            let (library, name) = function.name
            return millrace_lua_function(
                library: UnsafeRawPointer(library.utf8Start).assumingMemoryBound(to: CChar.self),
                name: UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self),
                number: function.rawValue)
        }
    }
}
