// What runs: the bridges and ports that reconciliation has made so far.

internal import DatapathAPI
internal import Flow
internal import Netdev
internal import OVSDB
internal import Pipeline

/// An interface that is in force, or that was tried and failed.
struct RunningInterface {
    /// What it was made from; a difference to what is wanted now means work.
    var wanted: WantedInterface
    var port: WantedPort
    /// The open port; nil for a patch port and for one that failed.
    var netdev: (any Port)?
    var datapathPort: DatapathPort?
    /// The number on the bridge; nil for one that failed.
    var number: OpenFlowPort?
    /// Why it does not work, in one sentence.
    var failure: String?
    /// Why the latest change to it was refused; what was before stays in force.
    var changeFailure: String?
    /// The same for its queues' affinity.
    var affinityFailure: String?
    /// `netdev.changes` when its link and queues were last looked at.
    var seenChanges: UInt64 = 0
}

/// A bridge that is in force.
struct RunningBridge {
    var wanted: WantedBridge
    let bridge: Bridge
    /// What the observer was told last.
    var connections: BridgeConnections?
    var numbers = OpenFlowPortAllocator()
    /// By interface name.
    var interfaces: [String: RunningInterface] = [:]
}
