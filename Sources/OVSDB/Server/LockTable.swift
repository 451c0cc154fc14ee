// Named locks (RFC 7047 section 4.1.8): a queue of sessions each, the first one owns.

/// ## Thread safety
/// None: the server's executor owns it.
struct LockTable {
    private var queues: [String: [ObjectIdentifier]] = [:]
    private var names: [ObjectIdentifier: Set<String>] = [:]

    func isOwner(_ session: ObjectIdentifier, _ name: String) -> Bool { queues[name]?.first == session }
    func isQueued(_ session: ObjectIdentifier, _ name: String) -> Bool { names[session]?.contains(name) == true }
    func count(_ session: ObjectIdentifier) -> Int { names[session]?.count ?? 0 }

    /// Joins the queue. True if the lock is owned at once.
    mutating func lock(_ session: ObjectIdentifier, _ name: String) -> Bool {
        queues[name, default: []].append(session)
        names[session, default: []].insert(name)
        return isOwner(session, name)
    }

    /// Takes the lock whoever owns it; the former owner stays next in line.
    ///
    /// - Returns: whom it was taken from
    mutating func steal(_ session: ObjectIdentifier, _ name: String) -> ObjectIdentifier? {
        let victim = queues[name]?.first
        queues[name, default: []].insert(session, at: 0)
        names[session, default: []].insert(name)
        return victim
    }

    /// Leaves the queue.
    ///
    /// - Returns: who owns the lock now because of that
    mutating func unlock(_ session: ObjectIdentifier, _ name: String) -> ObjectIdentifier? {
        names[session]?.remove(name)
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
        for name in names[session] ?? [] { if let owner = unlock(session, name) { result.append((name, owner)) } }
        return result
    }
}
