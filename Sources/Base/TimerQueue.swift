// Timers on the one clock.
//
// A binary heap of deadlines that its owner drives: it asks for `nextDeadline`, sleeps until then by whatever means it
// has, and calls `runExpired`. No thread, no sleeping in here, so a test with a stopped clock runs the same code.

/// Callbacks ordered by deadline.
///
/// ## Thread safety
/// None: one executor owns a queue and drives it.
public final class TimerQueue {
    /// Names a scheduled callback, for `cancel`.
    public struct Token: Hashable, Sendable {
        fileprivate let id: UInt64
    }

    private struct Entry {
        var deadline: Instant
        var id: UInt64
    }

    private let clock: Clock
    private var heap: [Entry] = []
    private var callbacks: [UInt64: () -> Void] = [:]
    private var nextID: UInt64 = 1

    public init(clock: Clock) { self.clock = clock }

    /// The earliest pending deadline, if any callback is pending.
    public var nextDeadline: Instant? {
        while let first = heap.first, callbacks[first.id] == nil { removeFirst() }
        return heap.first?.deadline
    }

    /// Calls `callback` once, at or after `deadline`.
    ///
    /// - Complexity: O(log n)
    @discardableResult
    public func schedule(at deadline: Instant, _ callback: @escaping () -> Void) -> Token {
        let id = nextID
        nextID += 1
        callbacks[id] = callback
        heap.append(Entry(deadline: deadline, id: id))
        siftUp(heap.count - 1)
        return Token(id: id)
    }

    /// Calls `callback` once, `milliseconds` from now.
    @discardableResult
    public func schedule(afterMilliseconds milliseconds: UInt64, _ callback: @escaping () -> Void) -> Token {
        schedule(at: clock.now.adding(milliseconds: milliseconds), callback)
    }

    /// Forgets a callback; harmless if it has run already.
    public func cancel(_ token: Token) { callbacks[token.id] = nil }

    /// Runs what was due when the call began; callbacks may schedule and cancel.
    public func runExpired() {
        let now = clock.now
        let newest = nextID
        while let first = heap.first, first.deadline <= now, first.id < newest {
            removeFirst()
            if let callback = callbacks.removeValue(forKey: first.id) { callback() }
        }
    }

    private func removeFirst() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        siftDown(0)
    }

    private func precedes(_ left: Int, _ right: Int) -> Bool {
        heap[left].deadline == heap[right].deadline ? heap[left].id < heap[right].id : heap[left].deadline < heap[right].deadline
    }

    private func siftUp(_ start: Int) {
        var index = start
        while index > 0, precedes(index, (index - 1) / 2) {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    private func siftDown(_ start: Int) {
        var index = start
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2] where child < heap.count && precedes(child, least) { least = child }
            if least == index { return }
            heap.swapAt(index, least)
            index = least
        }
    }
}
