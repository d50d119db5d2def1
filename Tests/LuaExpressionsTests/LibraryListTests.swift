import Foundation
import Testing
import Values

@testable import LuaExpressions

@Suite("The list of functions")
struct LibraryListTests {
    @Test("every function that the list names is there")
    func listedFunctionsExist() throws {
        for (library, members) in SandboxLibrary.contents {
            #expect(try Bench.evaluate("type(\(library)) ~= 'nil'") == true, "\(library)")
            for member in members where member != "null" {
                #expect(try Bench.evaluate("\(library).\(member) ~= nil") == true, "\(library).\(member)")
            }
        }
    }

    @Test("the list names every function that C adds")
    func addedFunctionsAreListed() throws {
        for (file, library) in [
            ("strings.c", "string"), ("patterns.c", "string"), ("tables.c", nil), ("base.c", nil),
        ] {
            let added = try Self.registered(in: file)
            #expect(!added.isEmpty)
            let known: Set<String> =
                if let library {
                    SandboxLibrary.contents[library] ?? []
                } else if file == "base.c" {
                    Set(SandboxLibrary.contents.keys)
                } else {
                    (SandboxLibrary.contents["table"] ?? []).union(SandboxLibrary.contents["math"] ?? [])
                }
            #expect(added.subtracting(known).isEmpty, "\(file)")
        }
    }

    /// The names in the tables of functions, which are rows such as `{"byte", text_byte}`.
    private static func registered(in file: String) throws -> Set<String> {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try String(
            contentsOf: root.appendingPathComponent("Sources/Bindings/CLuaSandbox/\(file)"), encoding: .utf8)
        let rows = text.matches(of: /\{"([a-z_]+)",\s*[a-z_]+\}/)
        return Set(rows.map { String($0.1) }.filter { !$0.hasPrefix("__") })
    }
}
