import Foundation
import Storage
import Testing

@testable import SQLiteStore

/// The writing connection's log: frames are gathered, and nobody can tell but by the calls that it saves.
@Suite("Gathered log")
struct LogBufferTests {
    private let directory: TemporaryDirectory
    private var path: String { directory.file("log.db") }

    init() throws { directory = try TemporaryDirectory() }

    private func logByteCount() throws -> Int {
        try FileManager.default.attributesOfItem(atPath: path + "-wal")[.size] as? Int ?? 0
    }

    /// A connection whose cache spills into the log long before the commit.
    private func makeWriter() throws -> Connection {
        let writer = try Connection(path: path, mode: .writing)
        try writer.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)")
        try writer.execute("PRAGMA cache_size = 5")
        return writer
    }

    private func add(_ count: Int, to writer: Connection) throws {
        for _ in 0..<count { try writer.execute("INSERT INTO item (bytes) VALUES (randomblob(1500))") }
    }

    private func checksum(_ connection: Connection) throws -> Int64? {
        try connection.integer("SELECT sum(id * (unicode(hex(bytes)) + length(bytes))) FROM item")
    }

    @Test("frames reach the file at the commit, at once, and its readers then")
    func gathers() throws {
        let writer = try makeWriter()
        defer { writer.close() }
        let reader = try Connection(path: path, mode: .reading)
        defer { reader.close() }
        let before = try logByteCount()
        try writer.execute("BEGIN IMMEDIATE")
        try add(30, to: writer)
        #expect(try logByteCount() == before, "spilled pages wait with the others")
        #expect(try reader.integer("SELECT count(*) FROM item") == 0)
        try writer.execute("COMMIT")
        #expect(try logByteCount() >= before + 30 * 2048)
        #expect(try reader.integer("SELECT count(*) FROM item") == 30)
        #expect(try checksum(reader) == checksum(writer))
    }

    @Test("what was spilled is read back before its commit, and more than the buffer is written in parts")
    func readsBack() throws {
        let writer = try makeWriter()
        try writer.execute("BEGIN IMMEDIATE")
        try add(300, to: writer)
        #expect(try logByteCount() > 128 << 10)
        let sum = try checksum(writer)
        try writer.execute("COMMIT")
        writer.close()
        let again = try Connection(path: path, mode: .writing)
        defer { again.close() }
        #expect(try again.integer("SELECT count(*) FROM item") == 300)
        #expect(try checksum(again) == sum)
        #expect(try again.text("PRAGMA integrity_check") == "ok")
    }

    @Test("frames of a transaction that is taken back do no harm to the next")
    func rollsBack() throws {
        let writer = try makeWriter()
        defer { writer.close() }
        try writer.execute("BEGIN IMMEDIATE")
        try add(20, to: writer)
        try writer.execute("SAVEPOINT part")
        try add(20, to: writer)
        try writer.execute("ROLLBACK TO part")
        try add(3, to: writer)
        try writer.execute("COMMIT")
        try writer.execute("BEGIN IMMEDIATE")
        try add(40, to: writer)
        try writer.execute("ROLLBACK")
        try writer.execute("BEGIN IMMEDIATE")
        try add(1, to: writer)
        try writer.execute("COMMIT")
        let reader = try Connection(path: path, mode: .reading)
        defer { reader.close() }
        #expect(try reader.integer("SELECT count(*) FROM item") == 24)
        #expect(try checksum(reader) == checksum(writer))
        #expect(try reader.text("PRAGMA integrity_check") == "ok")
    }

    @Test("I5: a copy of the files taken after a commit has all of it")
    func isOnDiskAtTheCommit() throws {
        let writer = try makeWriter()
        defer { writer.close() }
        for round in 1...20 {
            try writer.execute("BEGIN IMMEDIATE")
            try add(round, to: writer)
            try writer.execute("COMMIT")
        }
        // As a process that dies here would leave them: what only memory holds is not in the copy.
        let copy = directory.file("copy.db")
        try FileManager.default.copyItem(atPath: path, toPath: copy)
        try FileManager.default.copyItem(atPath: path + "-wal", toPath: copy + "-wal")
        let next = try Connection(path: copy, mode: .writing)
        defer { next.close() }
        #expect(try next.integer("SELECT count(*) FROM item") == 210)
        #expect(try checksum(next) == checksum(writer))
    }
}
