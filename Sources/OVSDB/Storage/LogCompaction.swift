// Rewriting a log while its database goes on.
//
// A compaction reads the log, not the database: the records up to where it began are replayed, on another thread, into a
// database of its own, whose content becomes the beginning of a fresh file. What was appended meanwhile is copied behind it
// as it is, in rounds, until little is missing. For the last round, which also puts the fresh file in the old one's place,
// transactions are held, for as long as it takes to write and synchronize that little.

internal import Base
internal import Glibc
internal import Synchronization

/// One compaction under way.
///
/// ## Thread safety
/// `@unchecked Sendable`: handed to and fro. The background has it from `BackgroundWork.perform` until `done` is called, the
/// database's owner otherwise. `cancel` may be called by the owner at any time.
public final class LogCompaction: @unchecked Sendable {
    private let source: OpenFile
    private let path: String
    private let limits: DatabaseLimits
    /// Transactions that the content takes in.
    let transactions: Int
    /// How much of the old log the fresh one holds.
    private(set) var copied: Int
    /// Length of schema and content.
    private(set) var contentBytes = 0
    private(set) var fresh: LogFile?
    /// Why it cannot go on.
    private(set) var failure: OVSDBError?
    private let isCancelled = Atomic<Bool>(false)
    private var rounds = 0

    /// Bytes that may be left for the last round.
    private static let lastRoundBytes = 64 << 10
    /// Rounds after which the rest is the last one, however much it is.
    private static let roundLimit = 16

    init(of source: OpenFile, path: String, until end: Int, transactions: Int, limits: DatabaseLimits) {
        self.source = source
        self.path = path
        self.limits = limits
        self.transactions = transactions
        copied = end
    }

    /// Has the background stop, and what it made be forgotten.
    func cancel() { isCancelled.store(true, ordering: .relaxed) }
    var wasCancelled: Bool { isCancelled.load(ordering: .relaxed) }

    private func attempt(_ body: () throws(OVSDBError) -> Void) {
        guard failure == nil else { return }
        do throws(OVSDBError) { try body() } catch {
            failure = error
            if let fresh { unlink(fresh.path) }
            fresh = nil
        }
    }

    /// Writes the content as it was when the compaction began. In the background.
    func rewrite() {
        attempt { () throws(OVSDBError) in
            let log = LogFile(sharing: source, path: path, recordLimit: limits.logRecordBytes)
            var loaded: Database?
            do throws(StorageError) {
                let problem = try log.readAll(limit: copied, restart: { loaded = nil }) { (record: JSON) throws(OVSDBError) in
                    if wasCancelled { throw OVSDBError("canceled") }
                    if let loaded { return try loaded.replay(record) }
                    loaded = Database(schema: try DatabaseSchema(record), limits: limits)
                }
                if let problem { throw StorageError.corrupt("\(path): \(problem)") }
            } catch {
                throw OVSDBError("I/O error", error.description)
            }
            guard let database = loaded else { throw OVSDBError("I/O error", "\(path): file holds no schema") }
            _ = try database.finishReplay()
            try begin(with: database)
        }
    }

    /// Writes `database` instead of what the log holds, and puts it in the log's place. In the background, while nothing is appended.
    func rewrite(as database: Database) {
        attempt { () throws(OVSDBError) in try begin(with: database) }
        finish(until: copied)
    }

    private func begin(with database: Database) throws(OVSDBError) {
        let fresh = try LogFile.beside(path, recordLimit: limits.logRecordBytes)
        self.fresh = fresh
        try fresh.append(database.schemaJSON, synchronize: false)
        try fresh.append(database.contentRecord(), synchronize: true)
        contentBytes = fresh.endOffset
    }

    /// Whether what the log has more is little enough for the last round.
    func isNearlyDone(_ end: Int) -> Bool { end - copied <= LogCompaction.lastRoundBytes || rounds >= LogCompaction.roundLimit }

    /// Copies what was appended up to `end`. In the background.
    func catchUp(until end: Int) {
        rounds += 1
        attempt { () throws(OVSDBError) in
            guard let fresh else { return }
            try fresh.append(from: source, copied..<end)
            try fresh.synchronize()
            copied = end
        }
    }

    /// Copies the last, and takes the old log's place. In the background, while nothing is appended.
    func finish(until end: Int) {
        catchUp(until: end)
        attempt { () throws(OVSDBError) in try fresh?.take(the: path, of: source) }
    }

    /// Forgets what was made. A cancelled one's file is gone already.
    func abandon() {
        if let fresh, !wasCancelled { unlink(fresh.path) }
        fresh = nil
    }
}
