// A mirror: copies of what enters or leaves the selected ports go to one more port, or into one more VLAN.

internal import DatapathAPI
public import Flow

/// How a mirror is configured (`Mirror` row).
public struct MirrorSettings: Equatable, Sendable {
    /// Tells mirrors of a bridge apart, and stays with the mirror when the rest changes.
    public var identifier: String
    /// Ports whose received packets are copied.
    public var sources: Set<OpenFlowPort>
    /// Ports whose sent packets are copied.
    public var destinations: Set<OpenFlowPort>
    /// Of these only packets in these VLANs; nil is all.
    public var vlans: VLANSet?
    /// Of these only packets that this matches; nil is all.
    public var filter: Match?
    /// Where the copies go; the port takes part in nothing else.
    public var outputPort: OpenFlowPort?
    /// In place of a port: the VLAN that the copies are flooded into.
    public var outputVLAN: UInt16?
    /// Most bytes of a copy; 0 is all of it.
    public var snapLength: UInt16

    public init(
        identifier: String, sources: Set<OpenFlowPort> = [], destinations: Set<OpenFlowPort> = [], vlans: VLANSet? = nil,
        filter: Match? = nil, outputPort: OpenFlowPort? = nil, outputVLAN: UInt16? = nil, snapLength: UInt16 = 0
    ) {
        self.identifier = identifier
        self.sources = sources
        self.destinations = destinations
        self.vlans = vlans
        self.filter = filter
        self.outputPort = outputPort
        self.outputVLAN = outputVLAN
        self.snapLength = snapLength
    }
}

/// A mirror in force.
///
/// ## Thread safety
/// Immutable, but for the counters, which the mirror keeps when its settings change.
final class Mirror: Sendable {
    let settings: MirrorSettings
    let counters: GroupCounters
    /// This mirror's bit and those of mirrors of the same bridge that output to the same place: one copy is enough.
    let duplicates: UInt32

    init(_ settings: MirrorSettings, counters: GroupCounters, duplicates: UInt32) {
        self.settings = settings
        self.counters = counters
        self.duplicates = duplicates
    }
}

extension Bridge {
    /// Replaces the bridge's mirrors; those beyond the limit of 32 are left out.
    public func setMirrors(_ settings: [MirrorSettings]) { pipeline.setMirrors(of: self, settings) }

    /// Packets and bytes that a mirror copied; nil if there is none of that name.
    public func mirrorStatistics(_ identifier: String) -> (packets: UInt64, bytes: UInt64)? {
        guard let mirror = pipeline.bridgeState(of: self)?.mirrors.first(where: { $0.settings.identifier == identifier }) else {
            return nil
        }
        return (mirror.counters.packets, mirror.counters.bytes)
    }
}

extension Bridge {
    /// What crossed a patch port: received is what came into this bridge. Nil if there is no such port.
    public func patchStatistics(
        _ number: OpenFlowPort
    ) -> (receivedPackets: UInt64, receivedBytes: UInt64, sentPackets: UInt64, sentBytes: UInt64)? {
        guard let counters = pipeline.bridgeState(of: self)?.patchCounters[number.rawValue] else { return nil }
        return (counters.received.packets, counters.received.bytes, counters.sent.packets, counters.sent.bytes)
    }
}

extension SwitchPipeline {
    func setMirrors(of bridge: Bridge, _ settings: [MirrorSettings]) {
        let settings = Array(settings.prefix(PipelineLimits.mirrorsPerBridge))
        let isChanged = change(bridge) { state, _ in
            if state.mirrors.map(\.settings) == settings { return false }
            let known = Dictionary(uniqueKeysWithValues: state.mirrors.map { ($0.settings.identifier, $0.counters) })
            state.mirrors = settings.map { one in
                var duplicates: UInt32 = 0
                for (index, other) in settings.enumerated()
                where other.outputPort == one.outputPort && (one.outputPort != nil || other.outputVLAN == one.outputVLAN) {
                    duplicates |= 1 << UInt32(index)
                }
                return Mirror(one, counters: known[one.identifier] ?? GroupCounters(), duplicates: duplicates)
            }
            return true
        }
        if isChanged == true { stamp(.all) }
    }
}
