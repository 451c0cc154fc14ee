// Giving a database another schema while its server goes on.
//
// Converting copies every row and writes the whole log anew: seconds for a large database. So it is done in the background. The
// database is held meanwhile: nothing can change it, so its rows, which never change once committed, may be read there while readers
// read them here.

/// One conversion under way.
///
/// ## Thread safety
/// `@unchecked Sendable`: handed to and fro. The background has it from `BackgroundWork.perform` until `done` is called, the
/// databases' owner otherwise. `old` is only read by the background, and does not change as long as it is held.
final class SchemaConversion: @unchecked Sendable {
    private var old: Database?
    /// What takes the old one's place; nil once that is settled.
    private(set) var database: Database?
    /// The log, rewritten; nil for a database in memory.
    let log: LogCompaction?
    /// Why it could not be done; the old database and its file are as they were.
    private(set) var failure: OVSDBError?

    init(_ old: Database, _ database: Database, limits: DatabaseLimits) {
        self.old = old
        self.database = database
        log = database.storage?.makeCompaction(limits: limits)
    }

    /// Converts content and log. In the background, while `old` is held.
    func run() {
        guard let old, let database else { return }
        do throws(OVSDBError) {
            try database.adopt(old)
            log?.rewrite(as: database)
            failure = log?.failure
        } catch {
            failure = error
        }
    }

    /// Lets go of the old database, or of what could not take its place: freeing rows takes time, too. In the background.
    func forget() {
        old = nil
        database = nil
    }
}
