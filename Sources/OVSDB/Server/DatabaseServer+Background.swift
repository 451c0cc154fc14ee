// Durable transactions and compactions, with the disk's part of them in the background.
//
// While a durable transaction is on its way to the disk, its database is held: other transactions queue up behind it, in
// order, and see it or not as its end has it. Everything else goes on: other databases, monitors (which see the rows as they
// were), and whatever else the executor does. A session is not read from meanwhile, so that its answers keep their order.

internal import Base

extension DatabaseServer {
    /// Whether a transaction has to queue up. One that only reads need not, if nothing is queued that it could have to follow.
    func mustQueue(_ operations: ArraySlice<JSON>, _ entry: HostedDatabase) -> Bool {
        guard entry.isHeld else { return false }
        if entry.hasQueue { return true }
        return !operations.allSatisfy { ["select", "comment", "assert"].contains($0["op"]?.string) }
    }

    /// Brings a written transaction to the disk, and then tells everybody.
    func synchronize(_ pending: PendingCommit, _ entry: HostedDatabase, completion: @escaping ([JSON]) -> Void) {
        let database = entry.database
        let problem = BackgroundResult<OVSDBError>()
        let finish = { [self] in
            perform {
                completion(database.finish(pending, problem.value))
                entry.release()
            }
        }
        entry.hold()
        let synchronize = pending.synchronize
        guard let background else {
            problem.value = synchronize()
            return finish()
        }
        background.perform(.synchronization, { problem.value = synchronize() }, done: finish)
    }

    // MARK: Compaction

    /// Rewrites a database's log as the schema and its content.
    ///
    /// - Parameter completion: called when it is done, with what went wrong; perhaps before `compact` returns
    public func compact(_ name: String, completion: @escaping (OVSDBError?) -> Void) {
        guard let entry = hostedDatabase(name) else { return completion(OVSDBError("unknown database", "no database \(name)")) }
        perform { compact(entry, completion) }
    }

    func compactIfDue(_ entry: HostedDatabase) {
        guard entry.compaction == nil, entry.database.isCompactionDue else { return }
        let database = entry.database
        compact(entry) { if let error = $0 { database.compactionFailed(error) } }
    }

    private func compact(_ entry: HostedDatabase, _ completion: @escaping (OVSDBError?) -> Void) {
        guard let background else {
            do throws(OVSDBError) {
                try entry.database.compact()
                return completion(nil)
            } catch {
                return completion(error)
            }
        }
        entry.compactionWaiters.append(completion)
        guard entry.compaction == nil else { return }
        entry.whenFree { [self] in
            guard entry.compaction == nil else { return }
            guard let compaction = entry.database.storage?.makeCompaction(limits: limits) else { return endCompaction(entry, nil) }
            entry.compaction = compaction
            background.perform(.compaction, { compaction.rewrite() }) { [self] in perform { goOn(compaction, entry) } }
        }
    }

    /// The next round of a compaction, when nothing is on its way to the disk.
    private func goOn(_ compaction: LogCompaction, _ entry: HostedDatabase) {
        entry.whenFree { [self] in
            guard let background, let storage = entry.database.storage, !compaction.wasCancelled else { return compaction.abandon() }
            if compaction.failure != nil { return endCompaction(entry, compaction) }
            let end = storage.growth.bytes
            guard compaction.isNearlyDone(end) else {
                return background.perform(.compaction, { compaction.catchUp(until: end) }) { [self] in perform { goOn(compaction, entry) } }
            }
            entry.hold()
            background.perform(.synchronization, { compaction.finish(until: end) }) { [self] in
                perform {
                    if compaction.failure == nil { entry.database.adopt(compaction) }
                    endCompaction(entry, compaction)
                    entry.release()
                }
            }
        }
    }

    private func endCompaction(_ entry: HostedDatabase, _ compaction: LogCompaction?) {
        entry.compaction = nil
        let waiters = entry.compactionWaiters
        entry.compactionWaiters = []
        for waiter in waiters { later { waiter(compaction?.failure) } }
    }

    /// Stops a compaction, whose database gets another log or goes.
    func cancelCompaction(_ entry: HostedDatabase) {
        guard let compaction = entry.compaction else { return }
        compaction.cancel()
        entry.compaction = nil
        let waiters = entry.compactionWaiters
        entry.compactionWaiters = []
        for waiter in waiters { later { waiter(OVSDBError("canceled")) } }
    }
}
