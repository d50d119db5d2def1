import Commands
import Foundation
import Testing

/// `docs/operating-tenants.md` against the sources and the command line.
@Suite("The page about operating tenants")
struct OperatingPageTests {
    @Test("every metric of the service is on it")
    func metricsAreExplained() throws {
        let page = try Repository.text("docs/operating-tenants.md")
        let folder = Repository.folder.appending(path: "Sources/Service").path(percentEncoded: false)
        let files = try FileManager.default.subpathsOfDirectory(atPath: folder).filter {
            $0.hasSuffix(".swift")
        }
        let counters = try Set(
            files.flatMap { file in
                try Repository.text("Sources/Service/\(file)").matches(of: #/"([a-z_]+_total)"/#).map {
                    String($0.1)
                }
            })
        let gauges = try Repository.text("Sources/Service/Server/HealthPages.swift")
            .matches(of: #/\("([a-z_]+)", (?:Int64|runtime)/#).map { String($0.1) }
        #expect(counters.count > 8 && gauges.count > 5)
        for name in counters.union(gauges) { #expect(page.contains("`millrace_\(name)"), "\(name)") }
    }

    @Test("every command on it and on that of the stand-ins exists, with its options")
    func commandsAreUnderstood() throws {
        let parser = ArgumentParser(commands: Program.commands)
        let pages = try Repository.text("docs/operating-tenants.md") + Repository.text("docs/stand-ins.md")
        let shown = pages.components(separatedBy: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
            .filter { $0.hasPrefix("$ millrace ") }
        #expect(shown.count > 8)
        for line in shown {
            let words = line.components(separatedBy: " ").dropFirst(2).prefix { $0 != ">" && $0 != "&" }
                .map(\.self)
            let (command, count) = try parser.command(in: words)
            #expect(throws: Never.self, "\(line)") {
                try parser.parse(Array(words.dropFirst(count)), for: command)
            }
        }
    }
}
