// What becomes of cached flows, for whoever wants to know each step: a debug log, a test.

public import Flow

/// Is told about misses and cached flows as they come and go.
///
/// ## Thread safety
/// Called by any thread of the datapath, off the packets' way but in it: a watcher slows every miss down.
public protocol FlowWatcher: AnyObject, Sendable {
    /// No flow covers a packet.
    func missed(_ key: FlowKey)
    /// A flow is cached.
    func added(_ flow: MegaflowSnapshot)
    /// A cached flow has other actions than before.
    func changed(_ flow: MegaflowSnapshot, from actions: [DatapathAction])
}
