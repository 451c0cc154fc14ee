// What is wanted, as plain values.
//
// The configuration database's rows are read into these once a change; everything after that compares values. Nothing in
// here knows what runs.

internal import Datapath
internal import Netdev
internal import OVSDB
internal import Pipeline

/// What the switch itself has written into a row, and wants to find there after a restart: that it changes is no change of what is wanted.
struct Remembered<Value>: Equatable {
    let value: Value?
    init(_ value: Value?) { self.value = value }
    static func == (_: Remembered, _: Remembered) -> Bool { true }
}

/// The `Open_vSwitch` table's row.
struct WantedGlobals: Equatable {
    enum DPDKInit: Equatable { case off, on, attempt }

    var nextCfg: Int64 = 0
    /// All of `other_config`, for DPDK's own settings.
    var otherConfig: [String: String] = [:]
    var dpdkInit = DPDKInit.off
    var vhostSockDir: String?
    /// Cores of `pmd-cpu-mask`, ascending; nil for the default.
    var pmdCores: [Int]?
    var pmdSleepMaxMicroseconds: UInt64?
    var rxqAssign = "cycles"
    /// `pmd-rxq-isolate`.
    var isolatesPinnedQueues = true
    var handlerThreads: UInt64 = 1
    /// `emc-insert-inv-prob`, if it is set.
    var cacheInsertionInverse: UInt64?
    var txFlushMicroseconds: UInt64 = 0
    var autoBalance = true
    var balanceIntervalMinutes: UInt64 = 1
    var balanceLoadThreshold: UInt64 = 95
    var balanceImprovementThreshold: UInt64 = 25
    var maxIdleMilliseconds: UInt64 = 10_000
    var flowLimit: UInt64 = 200_000
    /// `vlan-limit`; 0: as many as can be.
    var vlanLimit: UInt64 = 1
    /// `hw-offload`.
    var offloadsFlows = false
    var statsUpdateIntervalMilliseconds: UInt64 = 5_000
    var tls = TLSFiles()
}

/// A `Bridge` row with its ports.
struct WantedBridge: Equatable {
    var uuid: UUID
    var name: String
    var isSecure = false
    var datapathType = ""
    var datapathID: UInt64?
    var hardwareAddress: HardwareAddress?
    var macTableSize = 8192
    var macAgingSeconds: UInt64 = 300
    var forwardBPDU = false
    var connections = BridgeConnections()
    /// `Flow_Table` rows by table number.
    var flowTables: [UInt8: TableConfiguration] = [:]
    /// VLANs without MAC learning.
    var floodVLANs: Set<UInt16> = []
    var mirrors: [WantedMirror] = []
    var ports: [WantedPort] = []
}

/// A `Port` row with its interfaces.
struct WantedPort: Equatable {
    var uuid: UUID
    var name: String
    var vlanMode = PortVLANMode.trunk
    /// VLAN of access and native modes.
    var tag: UInt16 = 0
    /// VLANs carried; empty means all.
    var trunks: Set<UInt16> = []
    /// Customers' VLANs of a tunnel; empty means all.
    var customerVLANs: Set<UInt16> = []
    /// EtherType of a tunnel's outer tag.
    var tunnelEtherType: UInt16 = 0x88a8
    var priorityTags = PriorityTags.never
    var isProtected = false
    var qos: WantedQoS?
    /// `Queue.dscp` by queue.
    var queueMarks: [UInt32: UInt8] = [:]
    var interfaces: [WantedInterface] = []
    /// Why the port as a whole is refused, in one sentence.
    var refusal: String?
}

/// A `QoS` row that is in force.
struct WantedQoS: Equatable {
    var type: String
    /// As it was given, for `qos/show`.
    var options: [String: String]
    var policer: Policer
}

/// A `Mirror` row.
struct WantedMirror: Equatable {
    var uuid: UUID
    var name: String
    var selectsAll = false
    /// `Port` rows.
    var sources: Set<UUID> = []
    var destinations: Set<UUID> = []
    /// Empty means all.
    var vlans: Set<UInt16> = []
    var outputPort: UUID?
    var outputVLAN: UInt16?
    /// 0 is all of a packet.
    var snapLength: UInt16 = 0
    /// Flow text.
    var filter = ""
}

/// An `Interface` row.
struct WantedInterface: Equatable {
    var uuid: UUID
    var name: String
    var type: String
    var options: [String: String] = [:]
    /// `other_config:pmd-rxq-affinity`: CPUs by queue.
    var queueAffinity: [Int: Int] = [:]
    var ofportRequest: UInt32?
    /// The number the row had last; kept over a restart where it is free.
    var previousOfport = Remembered<UInt32>(nil)
    var mtuRequest: Int?
    var macRequest: HardwareAddress?
    var ingressPolicer: Policer?
}
