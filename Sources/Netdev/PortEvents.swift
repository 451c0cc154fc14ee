internal import CLinux
internal import CVhostUser

/// How a control thread learns that a guest came, went, or changed its queues, without asking every port.
///
/// ## Thread safety
/// All members may be called from any thread.
public enum PortEvents {
    /// Changes whenever any vhost-user port's `changes` does. Devices of other kinds have to be asked (`Port.link`).
    public static var generation: UInt64 { cvhost_global_generation() }

    /// An event descriptor that is readable after such a change, for an event loop; -1 if there is none. `drain` resets it.
    public static var descriptor: Int32 { cvhost_event_fd() }

    /// Makes the descriptor unreadable until the next change. Returns whether there was one.
    @discardableResult
    public static func drain() -> Bool { clinux_eventfd_drain(cvhost_event_fd()) == 1 }
}
