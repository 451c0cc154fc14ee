public import DatapathAPI
internal import Synchronization

/// Who watches the flow table, if anybody does.
///
/// ## Thread safety
/// Any thread may call it.
final class FlowWatch: Sendable {
    /// Whether there is a watcher: all that a miss asks for.
    let isActive = Atomic<Bool>(false)
    /// Whether the packet that led to a flow is kept with it.
    let keepsPackets = Atomic<Bool>(false)
    private let watcher = Mutex<(any FlowWatcher)?>(nil)

    func set(_ watcher: (any FlowWatcher)?) {
        self.watcher.withLock { $0 = watcher }
        isActive.store(watcher != nil, ordering: .releasing)
    }

    /// Calls `body` with the watcher, outside any lock.
    @inline(never) func tell(_ body: (any FlowWatcher) -> Void) {
        if let watcher = watcher.withLock({ $0 }) { body(watcher) }
    }
}

extension Datapath {
    /// Has somebody watch misses and cached flows; nil: nobody.
    public func watch(by watcher: (any FlowWatcher)?) { table.watch.set(watcher) }

    /// From now on keeps with each cached flow the packet that led to it, to be shown with it.
    public func keepPackets() { table.watch.keepsPackets.store(true, ordering: .relaxed) }
}
