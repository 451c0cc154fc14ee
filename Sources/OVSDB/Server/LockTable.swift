// Named locks (RFC 7047 section 4.1.8): a queue of sessions each, the first one owns.

/// ## Thread safety
/// None: the server's executor owns it.
struct LockTable {
    /// How a session came by its place in a queue.
    private enum Mode { case waited, stole, lost }

    private var queues: [String: [ObjectIdentifier]] = [:]
    private var names: [ObjectIdentifier: [String: Mode]] = [:]

    func isOwner(_ session: ObjectIdentifier, _ name: String) -> Bool { queues[name]?.first == session }
    /// Whether the session has asked for the lock and not given it back; also after another one has taken it away.
    func isQueued(_ session: ObjectIdentifier, _ name: String) -> Bool { names[session]?[name] != nil }
    func count(_ session: ObjectIdentifier) -> Int { names[session]?.count ?? 0 }

    /// The locks a session has, waits for, and has lost for good.
    func status(_ session: ObjectIdentifier) -> (held: [String], waiting: [String], lost: [String]) {
        var result: (held: [String], waiting: [String], lost: [String]) = ([], [], [])
        for (name, mode) in (names[session] ?? [:]).sorted(by: { $0.key < $1.key }) {
            if isOwner(session, name) {
                result.held.append(name)
            } else if mode == .lost {
                result.lost.append(name)
            } else {
                result.waiting.append(name)
            }
        }
        return result
    }

    /// Joins the queue. True if the lock is owned at once.
    mutating func lock(_ session: ObjectIdentifier, _ name: String) -> Bool {
        queues[name, default: []].append(session)
        names[session, default: [:]][name] = .waited
        return isOwner(session, name)
    }

    /// Takes the lock whoever owns it. A former owner that had waited for it stays next in line; one that had stolen it itself has
    /// lost it.
    ///
    /// - Returns: whom it was taken from
    mutating func steal(_ session: ObjectIdentifier, _ name: String) -> ObjectIdentifier? {
        let victim = queues[name]?.first
        if let victim, names[victim]?[name] == .stole {
            queues[name]!.removeFirst()
            names[victim]![name] = .lost
        }
        queues[name, default: []].insert(session, at: 0)
        names[session, default: [:]][name] = .stole
        return victim
    }

    /// Leaves the queue.
    ///
    /// - Returns: who owns the lock now because of that
    mutating func unlock(_ session: ObjectIdentifier, _ name: String) -> ObjectIdentifier? {
        names[session]?[name] = nil
        if names[session]?.isEmpty == true { names[session] = nil }
        guard var queue = queues[name], let position = queue.firstIndex(of: session) else { return nil }
        queue.remove(at: position)
        queues[name] = queue.isEmpty ? nil : queue
        return position == 0 ? queue.first : nil
    }

    /// Leaves all queues.
    ///
    /// - Returns: who owns which lock because of that
    mutating func releaseAll(_ session: ObjectIdentifier) -> [(name: String, owner: ObjectIdentifier)] {
        var result: [(name: String, owner: ObjectIdentifier)] = []
        for name in names[session]?.keys.sorted() ?? [] { if let owner = unlock(session, name) { result.append((name, owner)) } }
        return result
    }
}
