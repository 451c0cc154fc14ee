import Base
import Glibc
import Testing

@testable import OVSDB

private func write(_ bytes: [UInt8], _ path: String) {
    let file = fopen(path, "w")!
    fwrite(bytes, 1, bytes.count, file)
    fclose(file)
}

private func read(_ path: String) -> [UInt8] {
    guard let file = fopen(path, "r") else { return [] }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65536)
    while case let count = fread(&chunk, 1, chunk.count, file), count > 0 { bytes.append(contentsOf: chunk[..<count]) }
    return bytes
}

/// Runs one transaction; the results.
@discardableResult
private func transact(_ database: Database, _ operations: JSON...) -> [JSON] {
    guard case .finished(let results, _) = database.execute(operations[...]) else { return [] }
    return results
}

private func insert(_ number: Int) -> JSON {
    .object(
        JSONObject([
            ("op", "insert"), ("table", "T"), ("uuid", .string(UUID(high: 0, low: UInt64(number)).description)),
            ("row", ["i": .integer(Int64(number)), "si": ["set", [1, 2]] as JSON, "eph": "gone"]),
        ]))
}

private let durably: JSON = ["op": "commit", "durable": true]

/// A directory that goes away with the test.
private final class Directory {
    let path = makeTemporaryDirectory()
    var file: String { path + "/db" }
    deinit { removeDirectory(path) }
}

@Suite struct StorageTests {
    /// A whole last record that makes no sense is passed over, all of it; one in the middle is not.
    @Test func passesOverALastRecordThatCannotBeApplied() throws {
        let directory = Directory()
        do {
            let opened = try FileStorage.open(path: directory.file, schema: makeTestSchema())
            transact(opened.database, insert(1), durably)
        }
        let whole = read(directory.file)
        let half: JSON = ["T": ["00000000-0000-0000-0000-000000000002": ["i": 2] as JSON] as JSON, "nosuch": [:] as JSON]
        write(whole + LogFile.encode(half), directory.file)
        do {
            let opened = try FileStorage.open(path: directory.file, schema: nil)
            #expect(opened.warnings.contains { $0.contains("unknown table: No table named nosuch.") })
            #expect(opened.database.rows("T").map { $0.integer("i") } == [1])
            transact(opened.database, insert(3), durably)
        }
        let opened = try FileStorage.open(path: directory.file, schema: nil)
        #expect(opened.warnings.isEmpty && opened.database.rows("T").count == 2)
        let other = Directory()
        let good: JSON = ["T": ["00000000-0000-0000-0000-000000000004": ["i": 4] as JSON] as JSON]
        write(whole + LogFile.encode(half) + LogFile.encode(good), other.file)
        #expect(throws: StorageError.self) { try FileStorage.open(path: other.file, schema: nil) }
    }

    @Test func keepsWhatWasCommitted() throws {
        let directory = Directory()
        var content: [String: [UUID: [String: Datum]]] = [:]
        do {
            let opened = try FileStorage.open(path: directory.file, schema: makeTestSchema())
            #expect(opened.isNew && opened.warnings.isEmpty)
            var source = TransactionSource(seed: 5)
            for _ in 0..<300 { _ = opened.database.execute(source.operations()[...]) }
            content = opened.database.content(ephemeral: false)
            #expect(opened.database.rowCount > 0)
        }
        let opened = try FileStorage.open(path: directory.file, schema: makeTestSchema())
        #expect(!opened.isNew && opened.warnings.isEmpty)
        #expect(opened.database.content() == content)
        #expect(opened.database.inconsistencies().isEmpty)
        try opened.database.compact()
        transact(opened.database, insert(77))
        content = opened.database.content(ephemeral: false)
        #expect(throws: StorageError.self) { try FileStorage.open(path: directory.file, schema: nil) }
    }

    @Test func compactionKeepsTheContentAndShrinks() throws {
        let directory = Directory()
        var content: [String: [UUID: [String: Datum]]] = [:]
        var limits = DatabaseLimits()
        limits.compactionMinimumBytes = 20_000
        do {
            let database = try FileStorage.open(path: directory.file, schema: makeTestSchema(), limits: limits).database
            transact(database, insert(1))
            #expect(!database.compactIfNeeded())
            for _ in 0..<300 {
                transact(database, ["op": "mutate", "table": "T", "where": [], "mutations": [["i", "+=", 1] as JSON] as JSON])
            }
            let before = read(directory.file).count
            #expect(database.compactIfNeeded())
            #expect(read(directory.file).count < before / 4)
            transact(database, insert(2))
            content = database.content(ephemeral: false)
        }
        #expect(try FileStorage.open(path: directory.file, schema: nil).database.content() == content)
    }

    /// A server compacts by itself, and a log that cannot be rewritten is left to grow for a while.
    @Test func serversCompactByThemselves() throws {
        let directory = Directory()
        var limits = DatabaseLimits()
        limits.compactionMinimumBytes = 20_000
        let database = try FileStorage.open(path: directory.file, schema: makeTestSchema(), limits: limits).database
        var warnings = 0
        database.onWarning = { _ in warnings += 1 }
        let server = DatabaseServer(clock: Clock(), limits: limits)
        try server.add(database)
        let session = server.makeSession(name: "a")
        func write(_ count: Int64) {
            for number in 0..<count {
                session.receive(
                    request("transact", ["test", ["op": "insert", "table": "M", "row": ["a": .integer(number)] as JSON] as JSON], id: 1))
                session.receive(request("transact", ["test", ["op": "delete", "table": "M", "where": []] as JSON], id: 1))
            }
        }
        write(400)
        #expect(read(directory.file).count < 60_000 && warnings == 0)
        // Something in the way of the new file.
        #expect(mkdir(directory.file + ".tmp", 0o700) == 0)
        write(800)
        #expect((1...6).contains(warnings))
        #expect(rmdir(directory.file + ".tmp") == 0)
        write(1600)
        #expect(read(directory.file).count < 400_000)
        #expect(try reopenedBytes(directory.file) == database.rowCount)
    }

    /// Cut off anywhere, the file yields exactly the transactions that are whole.
    @Test func survivesATornTailAtEveryByte() throws {
        let directory = Directory()
        var ends: [Int] = []
        do {
            let database = try FileStorage.open(path: directory.file, schema: makeTestSchema()).database
            ends.append(read(directory.file).count)
            for number in 1...3 {
                transact(database, insert(number))
                ends.append(read(directory.file).count)
            }
        }
        let whole = read(directory.file)
        for length in ends[0]...whole.count {
            write(Array(whole[..<length]), directory.file)
            let opened = try FileStorage.open(path: directory.file, schema: nil)
            let expected = ends.lastIndex { $0 <= length }!
            #expect(opened.database.rowCount == expected, "cut at \(length)")
            #expect(opened.warnings.isEmpty == ends.contains(length), "cut at \(length)")
            if length % 97 == 0 {
                transact(opened.database, insert(9))
                let again = try read(directory.file).withUnsafeBufferPointer { _ in try reopened(directory.file, opened) }
                #expect(again == expected + 1)
            }
        }
    }

    /// Rows in a copy of the file, read while the original is still locked.
    private func reopened(_ path: String, _ opened: FileStorage.Opened) throws -> Int {
        let copy = path + ".copy"
        write(read(path), copy)
        defer { unlink(copy) }
        let second = try FileStorage.open(path: copy, schema: nil)
        #expect(second.warnings.isEmpty)
        return second.database.rowCount
    }

    @Test func garbageBehindTheEndIsCutOff() throws {
        let directory = Directory()
        do { transact(try FileStorage.open(path: directory.file, schema: makeTestSchema()).database, insert(1)) }
        let whole = read(directory.file)
        for tail in [[UInt8](repeating: 0, count: 4096), Array("OVSDB JSON 999 ".utf8), Array("garbage\n".utf8)] {
            write(whole + tail, directory.file)
            let opened = try FileStorage.open(path: directory.file, schema: nil)
            #expect(opened.warnings.count == 1 && opened.database.rowCount == 1)
            transact(opened.database, insert(2))
            #expect(read(directory.file).starts(with: whole))
        }
    }

    /// Anything but a log, or a log damaged in its middle, is refused and stays as it was.
    @Test func refusesForeignAndDamagedFiles() throws {
        let directory = Directory()
        do {
            let database = try FileStorage.open(path: directory.file, schema: makeTestSchema()).database
            for number in 1...3 { transact(database, insert(number)) }
        }
        let whole = read(directory.file)
        var flipped = whole
        flipped[whole.count / 2] ^= 1
        let text = String(decoding: whole, as: UTF8.self)
        let first = text.range(of: "OVSDB JSON ", from: 12)
        var missing = Array(LogFile.encode(makeTestSchema().json))
        missing += LogFile.encode(["X": ["00000000-0000-0000-0000-000000000001": [:] as JSON] as JSON])
        missing += LogFile.encode(["_comment": "something follows"])
        var dangling = Array(LogFile.encode(makeTestSchema().json))
        dangling += LogFile.encode([
            "T": ["00000000-0000-0000-0000-000000000001": ["strong": ["uuid", "00000000-0000-0000-0000-000000000002"]] as JSON] as JSON
        ])
        let files: [(String, [UInt8])] = [
            ("empty", []), ("text", Array("hello\n".utf8)), ("binary", (0...255).map { UInt8($0) }), ("flipped", flipped),
            ("schema cut", Array(whole[..<100])), ("without schema", Array(whole[first...])),
            ("cluster", Array("OVSDB CLUSTER 100 0123456789012345678901234567890123456789\n{}".utf8)),
            ("not a schema", LogFile.encode(["name": "x"])), ("unknown table", missing), ("dangling reference", dangling),
        ]
        for (name, bytes) in files {
            write(bytes, directory.file)
            do {
                _ = try FileStorage.open(path: directory.file, schema: makeTestSchema())
                Issue.record("\(name) was accepted")
            } catch {
                #expect(error.description.contains(directory.file), "\(name): \(error)")
            }
            #expect(read(directory.file) == bytes, "\(name) was changed")
        }
        #expect(throws: StorageError.self) { try FileStorage.open(path: directory.path, schema: makeTestSchema()) }
        #expect(throws: StorageError.self) { try FileStorage.open(path: directory.path + "/no/such/db", schema: makeTestSchema()) }
        #expect(throws: StorageError.self) {
            try FileStorage.open(path: directory.path + "/missing", schema: makeTestSchema(), creating: false)
        }
    }

    @Test func convertsOlderSchemasAndRefusesNewer() throws {
        let directory = Directory()
        func schema(_ version: String, _ columns: String) throws -> DatabaseSchema {
            try DatabaseSchema(JSON(parsing: #"{"name":"x","version":"\#(version)","tables":{"A":{"columns":{\#(columns)}}}}"#))
        }
        let old = try schema("1.0.0", #""a":{"type":"string"}"#)
        let new = try schema("1.1.0", #""a":{"type":"string"},"b":{"type":{"key":"integer","min":0}}"#)
        do {
            let database = try FileStorage.open(path: directory.file, schema: old).database
            transact(database, ["op": "insert", "table": "A", "row": ["a": "kept"] as JSON])
        }
        do {
            let opened = try FileStorage.open(path: directory.file, schema: new)
            #expect(opened.warnings.count == 1)
            #expect(opened.database.rows("A").map { $0.string("a") } == ["kept"])
            transact(opened.database, ["op": "update", "table": "A", "where": [], "row": ["b": 5] as JSON])
        }
        let bytes = read(directory.file)
        do {
            _ = try FileStorage.open(path: directory.file, schema: old)
            Issue.record("a newer file was accepted")
        } catch {
            #expect(error.description.contains("column b in table A"))
        }
        #expect(read(directory.file) == bytes)
        #expect(try FileStorage.open(path: directory.file, schema: new).database.rows("A").first?.integer("b") == 5)
    }

    @Test func lockNamesTheHolder() throws {
        let directory = Directory()
        let first = try FileStorage.open(path: directory.file, schema: makeTestSchema())
        do {
            _ = try FileStorage.open(path: directory.path + "/./db", schema: nil)
            Issue.record("the file was opened twice")
        } catch {
            #expect(error == .locked(path: directory.file, holder: getpid()) || "\(error)".contains("in use by process \(getpid())"))
        }
        #expect(access(directory.path + "/.db.~lock~", F_OK) == 0)
        // Another program sees the lock as well.
        if haveTools {
            let other = run(["ovsdb-tool", "compact", directory.file])
            #expect(other.status != 0 && other.output.contains("lock"), "\(other.output)")
        }
        withExtendedLifetime(first) {}
    }

    /// A full disk fails the transaction and nothing else. Needs root, for a file system small enough.
    @Test(.enabled(if: geteuid() == 0)) func fullDiskFailsOnlyTheTransaction() throws {
        let directory = Directory()
        guard mount("none", directory.path, "tmpfs", 0, "size=32k") == 0 else { return }
        defer { umount2(directory.path, Int32(MNT_DETACH)) }
        let opened = try FileStorage.open(path: directory.file, schema: makeTestSchema())
        let database = opened.database
        transact(database, insert(1))
        let big: JSON = ["op": "insert", "table": "T", "row": ["s": .string(String(repeating: "x", count: 100_000))]]
        let before = database.content()
        let results = transact(database, insert(2), big, durably)
        #expect(results.last?["error"] == "I/O error")
        #expect(results.last?["details"]?.string?.contains("No space left") == true)
        #expect(database.content() == before && database.inconsistencies().isEmpty)
        // Reads and smaller writes go on.
        #expect(transact(database, ["op": "select", "table": "T", "where": []]).first?["rows"]?.array?.count == 1)
        #expect(transact(database, insert(3), durably).allSatisfy { $0["error"] == nil })
        #expect(try reopenedBytes(directory.file) == 2)
        withExtendedLifetime(opened) {}
    }

    private func reopenedBytes(_ path: String) throws -> Int {
        let directory = Directory()
        write(read(path), directory.file)
        let opened = try FileStorage.open(path: directory.file, schema: nil)
        #expect(opened.warnings.isEmpty)
        return opened.database.rowCount
    }

    @Test(.enabled(if: geteuid() == 0)) func readOnlyFileSystemServesReads() throws {
        let directory = Directory()
        guard mount("none", directory.path, "tmpfs", 0, "size=256k") == 0 else { return }
        defer { umount2(directory.path, Int32(MNT_DETACH)) }
        do { transact(try FileStorage.open(path: directory.file, schema: makeTestSchema()).database, insert(1)) }
        guard mount("none", directory.path, "tmpfs", UInt(MS_REMOUNT | MS_RDONLY), "size=256k") == 0 else { return }
        let database = try FileStorage.open(path: directory.file, schema: makeTestSchema()).database
        #expect(database.rowCount == 1)
        let results = transact(database, insert(2), durably)
        #expect(results.last?["error"] == "I/O error")
        #expect(database.rowCount == 1 && database.inconsistencies().isEmpty)
        // What is never written needs no disk.
        #expect(transact(database, ["op": "update", "table": "T", "where": [], "row": ["eph": "x"] as JSON]).first?["count"] == 1)
    }
}

extension String {
    /// Offset in bytes of the first `needle` at or after `from`.
    fileprivate func range(of needle: String, from: Int) -> Int {
        let hay = Array(utf8)
        let wanted = Array(needle.utf8)
        return (from..<(hay.count - wanted.count)).first { hay[$0..<($0 + wanted.count)].elementsEqual(wanted) }!
    }
}
