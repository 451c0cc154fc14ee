// Which ports and bridges there are, as translations see it: an immutable picture, replaced as a whole.
//
// Ports change rarely, so a change builds the picture anew, publishes it by one store, and stamps `topology` and the bridge's
// `ports`. The old one goes when no translation can be looking at it.

internal import DatapathAPI
internal import Flow

/// A port in the picture.
///
/// ## Thread safety
/// Immutable once the topology that holds it is published.
final class PortView: @unchecked Sendable {
    let port: BridgePort
    let number: OpenFlowPort
    /// `.none` for patch ports.
    let datapathPort: DatapathPort
    let receives: Bool
    let sends: Bool
    let floods: Bool
    /// Bits of the bridge's mirrors that copy what comes in by it, what goes out by it, and that output to it.
    let sourceMirrors: UInt32
    let destinationMirrors: UInt32
    let isMirrorOutput: Bool
    /// Set before the topology is published; the topology outlives every use.
    unowned(unsafe) let bridge: BridgeView
    fileprivate(set) unowned(unsafe) var peer: PortView?
    /// Of a patch port: what crossed it.
    let patchCounters: PatchCounters?

    init(_ port: BridgePort, bridge: BridgeView, patchCounters: PatchCounters?) {
        self.port = port
        self.patchCounters = patchCounters
        self.bridge = bridge
        number = port.number
        if case .datapath(let number) = port.attachment { datapathPort = number } else { datapathPort = .none }
        let configuration = port.configuration
        receives = configuration.isDisjoint(with: [.down, .noReceive])
        sends = configuration.isDisjoint(with: [.down, .noForward])
        floods = !configuration.contains(.noFlood)
        func bits(_ isIn: (MirrorSettings) -> Bool) -> UInt32 {
            bridge.mirrors.indices.reduce(0) { isIn(bridge.mirrors[$1].settings) ? $0 | 1 << UInt32($1) : $0 }
        }
        sourceMirrors = bits { $0.sources.contains(port.number) }
        destinationMirrors = bits { $0.destinations.contains(port.number) }
        isMirrorOutput = bits { $0.outputPort == port.number } != 0
    }
}

/// A bridge in the picture.
///
/// ## Thread safety
/// Immutable once the topology that holds it is published.
final class BridgeView: @unchecked Sendable {
    let bridge: Bridge
    let macTable: MACTable
    let settings: BridgeSettings
    let mirrors: [Mirror]
    /// By number.
    fileprivate(set) var ports: [PortView] = []
    fileprivate(set) var byNumber: [UInt32: PortView] = [:]

    init(bridge: Bridge, macTable: MACTable, settings: BridgeSettings, mirrors: [Mirror]) {
        self.bridge = bridge
        self.mirrors = mirrors
        self.macTable = macTable
        self.settings = settings
    }
}

/// The picture.
///
/// ## Thread safety
/// Immutable. Readers hold a slot of the pipeline's `ReaderEpochs`.
final class Topology: Sendable {
    let bridges: [UInt32: BridgeView]
    let byDatapathPort: [UInt32: PortView]

    init(_ states: [BridgeState]) {
        var bridges: [UInt32: BridgeView] = [:]
        var byDatapathPort: [UInt32: PortView] = [:]
        var patches: [String: PortView] = [:]
        for state in states {
            let view = BridgeView(bridge: state.bridge, macTable: state.macTable, settings: state.settings, mirrors: state.mirrors)
            bridges[state.bridge.identifier] = view
            for number in state.ports.keys.sorted() {
                let port = PortView(state.ports[number]!, bridge: view, patchCounters: state.patchCounters[number])
                view.ports.append(port)
                view.byNumber[number] = port
                switch port.port.attachment {
                case .datapath(let datapathPort): byDatapathPort[datapathPort.rawValue] = port
                case .patch: patches[port.port.name] = port
                }
            }
        }
        for (name, port) in patches {
            // Both ends must name each other.
            guard case .patch(let peerName) = port.port.attachment, let peer = patches[peerName], peer !== port,
                case .patch(name) = peer.port.attachment
            else { continue }
            port.peer = peer
        }
        self.bridges = bridges
        self.byDatapathPort = byDatapathPort
    }
}

/// A bridge's side of the configuration, kept under the pipeline's lock.
struct BridgeState {
    let bridge: Bridge
    var ports: [UInt32: BridgePort] = [:]
    var macTable: MACTable
    var settings: BridgeSettings
    var mirrors: [Mirror] = []
    /// Of patch ports, by number.
    var patchCounters: [UInt32: PatchCounters] = [:]
}

/// What came into a bridge by a patch port, and what left it.
///
/// ## Thread safety
/// Any thread may add and read.
final class PatchCounters: Sendable {
    let received = GroupCounters()
    let sent = GroupCounters()
}
