// Flows that packets teach: `learn` and `fin_timeout`.
//
// The translation says what is to be learned (`Lesson`); it is learned when the translation of a packet ends, and again
// whenever packets are credited to that translation, so that a flow stays as long as there are packets that teach it.

internal import Base
internal import Classifier
internal import Flow
internal import Synchronization

/// What flows a rule learned: those of a table with a cookie.
struct LearnedCookie: Hashable {
    var table: UInt8
    var cookie: UInt64
}

/// A flow to learn.
struct Lesson {
    let bridge: Bridge
    let change: FlowModification
    /// Most flows of this table and cookie; 0 is any number.
    let limit: UInt32
}

/// Shorter timeouts for a rule once its connection ends.
struct FinTimeout {
    let bridge: Bridge
    let rule: FlowRule
    let idle: UInt16
    let hard: UInt16
}

extension Bridge.Writer {
    /// Notes that a rule comes or goes, if it learns flows that are to go with it. Returns what no rule learns any more.
    @discardableResult
    mutating func countLearner(_ rule: FlowRule, by change: Int) -> [LearnedCookie] {
        var orphans: [LearnedCookie] = []
        for case .learn(let learn) in rule.actions where learn.deletesLearned {
            let cookie = LearnedCookie(table: learn.table, cookie: learn.cookie)
            let count = (learners[cookie] ?? 0) + change
            learners[cookie] = count > 0 ? count : nil
            if count <= 0 { orphans.append(cookie) }
        }
        return orphans
    }
}

extension Bridge {
    /// Adds the flow, or starts its timeouts again. False if there are as many as may be.
    @discardableResult
    func learn(_ lesson: Lesson) -> Bool {
        let now = pipeline.clock.now
        var (transaction, isLearned) = writer.withLock { state in learn(lesson, now, &state) }
        transaction?.report()
        return isLearned
    }

    /// The same if nobody else is changing the tables; else the credit of the packet will do it.
    func learnNow(_ lesson: Lesson) {
        let now = pipeline.clock.now
        var outcome = writer.withLockIfAvailable { state in learn(lesson, now, &state) }
        outcome?.0?.report()
    }

    /// Whether the flow is there already or there is room for it.
    func hasRoom(for lesson: Lesson) -> Bool {
        lesson.limit == 0
            || writer.withLock { _ in
                let version = publishedVersion.load(ordering: .relaxed)
                return existing(lesson, version) != nil || count(lesson, version) < lesson.limit
            }
    }

    private func learn(_ lesson: Lesson, _ now: Instant, _ state: inout Writer) -> (FlowTransaction?, Bool) {
        let version = publishedVersion.load(ordering: .relaxed)
        if let rule = existing(lesson, version) {
            let isSame =
                rule.actions == lesson.change.actions && (rule.cookie == lesson.change.newCookie || !lesson.change.modifyChangesCookie)
            if isSame {
                rule.refresh(now)
                return (nil, true)
            }
        } else if lesson.limit != 0, count(lesson, version) >= lesson.limit {
            return (nil, false)
        }
        var transaction = FlowTransaction(bridge: self, now: now)
        do throws(FlowModError) {
            try transaction.perform(lesson.change, &state)
        } catch {
            // A full table, or a flow that makes no sense for this packet: nothing is learned.
            transaction.rollBack(&state)
            return (nil, false)
        }
        transaction.commit(&state)
        return (transaction, true)
    }

    private func existing(_ lesson: Lesson, _ version: UInt64) -> FlowRule? {
        classifier(lesson.change.table ?? 0)?.takeUnretainedValue().find(
            lesson.change.match, priority: Int32(lesson.change.priority), version: version
        ).map { unsafeDowncast($0, to: FlowRule.self) }
    }

    private func count(_ lesson: Lesson, _ version: UInt64) -> UInt32 {
        var count: UInt32 = 0
        classifier(lesson.change.table ?? 0)?.takeUnretainedValue().forEachVisible(at: version, matching: Match()) { found in
            if unsafeDowncast(found, to: FlowRule.self).cookie == lesson.change.newCookie { count += 1 }
        }
        return count
    }

    func reduceTimeouts(_ timeout: FinTimeout) {
        let now = pipeline.clock.now
        writer.withLock { state in
            // What is there now under this match may be another rule.
            let version = publishedVersion.load(ordering: .relaxed)
            guard timeout.rule.isVisible(in: version) else { return }
            var transaction = FlowTransaction(bridge: self, now: now)
            transaction.reduceTimeouts(timeout.rule, idle: timeout.idle, hard: timeout.hard, &state)
            transaction.commit(&state)
        }
    }
}
