// All bridges together: what the datapath asks, and what the switch configures.
//
// Reads of translations go through one published picture of ports and bridges (`Topology`) and each bridge's versioned flow
// tables; changes are made under locks that translations never take, and are followed by a stamp of what depended on them.

public import Base
public import DatapathAPI
internal import Flow
internal import Synchronization

/// The pipeline.
///
/// ## Thread safety
/// `translate` may be called by any number of threads at once and waits for nobody. Everything else may be called from any
/// thread but PMD threads; changes of ports and bridges wait for each other.
public final class SwitchPipeline: PacketTranslator, @unchecked Sendable {
    public let clock: Clock
    /// What megaflows are checked against; the datapath reads it.
    public let versions: DependencyVersions
    let epochs = ReaderEpochs()
    let seed: UInt64
    let punts = PuntRegistry()
    let recirculations: TokenRegistry<RecirculationContext>
    /// The datapath's meter numbers.
    let meterNumbers = MeterNumbers()
    let frozen: TokenRegistry<FrozenState>
    /// Where its lines go.
    public let journal = PipelineJournal()

    /// Whether a decision rests on what it sets, too. Each field that is set is matched as it was before, and what was changed for
    /// one of several outputs is set back for the next one, as the field's switches do it: narrower megaflows that tests can
    /// compare. Without it, megaflows are as wide as can be.
    public var matchesWhatIsSet: Bool {
        get { settings.matchesWhatIsSet.load(ordering: .relaxed) }
        set {
            settings.matchesWhatIsSet.store(newValue, ordering: .relaxed)
            stamp(.all)
        }
    }
    /// Whether each decision is for packets that are the same in every bit (`upcall/disable-megaflows`).
    public var matchesEverything: Bool {
        get { settings.matchesEverything.load(ordering: .relaxed) }
        set {
            settings.matchesEverything.store(newValue, ordering: .relaxed)
            stamp(.all)
        }
    }

    /// VLAN tags of a packet that are looked at, 1 or 2 (`vlan-limit`). The datapath has to be told the same.
    public var tagLimit: Int {
        get { settings.tagLimit.load(ordering: .relaxed) }
        set { settings.tagLimit.store(min(max(newValue, 1), FlowExtractor.mostTags), ordering: .relaxed) }
    }

    /// Read by translations.
    final class Settings: Sendable {
        let matchesWhatIsSet = Atomic<Bool>(false)
        let matchesEverything = Atomic<Bool>(false)
        let tagLimit = Atomic<Int>(FlowExtractor.mostTags)
    }
    let settings = Settings()

    /// The published `Topology`, retained. Sound: replaced by one store under `control`; the old one is released when no
    /// reader is left.
    private let topology: Atomic<UInt>
    private let control: Mutex<Control>
    private let datapath = Mutex<(any DatapathControl)?>(nil)
    /// One for each slot of `epochs`; whoever holds the slot owns it.
    let scratches: TranslatorPool

    private struct Control {
        var states: [BridgeState] = []
        var nextIdentifier: UInt32 = 1
        /// Pictures that were replaced, until no reader is left.
        var retired: [(tag: UInt64, topology: Unmanaged<Topology>)] = []
    }

    /// - Parameters:
    ///   - seed: keeps outsiders from aiming at hash collisions; random in the daemon, fixed in tests.
    public init(clock: Clock, versions: DependencyVersions = DependencyVersions(), seed: UInt64) {
        self.clock = clock
        self.versions = versions
        self.seed = seed
        // Recirculation ids are one space.
        let identifiers = TokenNumbers()
        recirculations = TokenRegistry(
            numbers: identifiers, lingering: PipelineLimits.lingeringRecirculations, limit: HashedRecirculation.numberLimit)
        frozen = TokenRegistry(numbers: identifiers)
        topology = Atomic(UInt(bitPattern: Unmanaged.passRetained(Topology([])).toOpaque()))
        control = Mutex(Control())
        scratches = TranslatorPool(count: ReaderEpochs.slotCount)
    }

    deinit {
        currentTopology.release()
        control.withLock { $0.retired.forEach { $0.topology.release() } }
    }

    /// Where packet-outs go and exact counts come from.
    public func attach(_ datapath: any DatapathControl) { self.datapath.withLock { $0 = datapath } }

    var attachedDatapath: (any DatapathControl)? { datapath.withLock { $0 } }

    /// See `changedRules`.
    let ruleChanges = Atomic<UInt64>(0)

    /// Makes the datapath hand over what it counted.
    func refreshStatistics() { attachedDatapath?.pushStatistics() }

    func stamp(_ dependencies: DependencySet) {
        if !dependencies.isEmpty { versions.stamp(dependencies) }
    }

    /// The picture of now; for holders of a slot of `epochs`.
    @inline(__always) var currentTopology: Unmanaged<Topology> {
        Unmanaged.fromOpaque(UnsafeRawPointer(bitPattern: topology.load(ordering: .acquiring))!)
    }

    // MARK: Bridges

    /// The bridges, in the order in which they were added.
    public var bridges: [Bridge] { control.withLock { $0.states.map(\.bridge) } }

    public func bridge(named name: String) -> Bridge? { control.withLock { $0.states.first { $0.bridge.name == name }?.bridge } }

    /// Adds a bridge without ports; a standalone one starts with a NORMAL rule.
    public func addBridge(named name: String, datapathID: UInt64, failMode: FailMode = .standalone) throws(PipelineError) -> Bridge {
        let added: Bridge? = control.withLock { control in
            if control.states.contains(where: { $0.bridge.name == name }) { return nil }
            let bridge = Bridge(
                name: name, identifier: control.nextIdentifier, datapathID: datapathID, failMode: failMode, pipeline: self)
            control.nextIdentifier += 1
            let table = MACTable(
                bridge: bridge.identifier, capacity: PipelineLimits.macTableDefault,
                ageingSeconds: PipelineLimits.macAgeingDefaultSeconds, seed: seed)
            control.states.append(BridgeState(bridge: bridge, macTable: table, settings: BridgeSettings()))
            publish(&control)
            return bridge
        }
        guard let added else { throw .bridgeExists(name) }
        added.flushFlows()
        stamp(.topology)
        return added
    }

    /// Removes a bridge with its ports. False if there is none of that name.
    @discardableResult
    public func removeBridge(named name: String) -> Bool {
        let removed = control.withLock { control -> Bridge? in
            guard let index = control.states.firstIndex(where: { $0.bridge.name == name }) else { return nil }
            let bridge = control.states.remove(at: index).bridge
            publish(&control)
            return bridge
        }
        guard let removed else { return false }
        stamp(.all)
        removed.forgetMeters()
        return true
    }

    // MARK: Ports, on behalf of `Bridge`

    func bridgeState(of bridge: Bridge) -> BridgeState? { control.withLock { $0.states.first { $0.bridge === bridge } } }

    /// Changes a bridge's state, publishes, and returns what the change returned; nil if the bridge is gone.
    func change<Value: Sendable>(_ bridge: Bridge, _ body: (inout BridgeState, [BridgeState]) -> Value) -> Value? {
        control.withLock { control in
            guard let index = control.states.firstIndex(where: { $0.bridge === bridge }) else { return nil }
            let value = body(&control.states[index], control.states)
            publish(&control)
            return value
        }
    }

    /// A patch port or a port's move concerns more than one bridge.
    private func dependencies(of port: BridgePort, in bridge: Bridge) -> DependencySet {
        var result: DependencySet = [.ports(bridge: bridge.identifier), .topology]
        if case .patch = port.attachment { result.formUnion(.all) }
        return result
    }

    func addPort(_ port: BridgePort, to bridge: Bridge) throws(PipelineError) -> OpenFlowPort {
        let outcome: Result<BridgePort, PipelineError>? = change(bridge) { state, others in
            if state.ports.values.contains(where: { $0.name == port.name }) {
                return .failure(.portExists(port.name, bridge: bridge.name))
            }
            if state.ports.count >= PipelineLimits.portsPerBridge {
                return .failure(.tooManyPorts(limit: PipelineLimits.portsPerBridge, bridge: bridge.name))
            }
            if case .datapath(let number) = port.attachment {
                for other in others {
                    if let taken = other.ports.values.first(where: { $0.attachment == port.attachment }) {
                        return .failure(.datapathPortTaken(number, by: taken.name))
                    }
                }
            }
            let wanted = port.number.rawValue
            let isOrdinary = wanted >= 1 && wanted <= PipelineLimits.highestPortNumber
            guard isOrdinary || port.number == .local || port.number == .any else { return .failure(.badPortNumber(port.number)) }
            var added = port
            if port.number == .any || state.ports[wanted] != nil {
                var free: UInt32 = 1
                while state.ports[free] != nil { free += 1 }
                added.number = OpenFlowPort(free)
            }
            state.ports[added.number.rawValue] = added
            if case .patch = added.attachment { state.patchCounters[added.number.rawValue] = PatchCounters() }
            return .success(added)
        }
        guard let outcome else { throw .noSuchBridge(bridge.name) }
        let added = try outcome.get()
        stamp(dependencies(of: added, in: bridge))
        bridge.eventReceiver?.portStatus(added, reason: .add, from: bridge)
        return added.number
    }

    func removePort(_ number: OpenFlowPort, of bridge: Bridge) -> Bool {
        let removed: (BridgePort, [LearnedAddress], DependencySet)?? = change(bridge) { state, _ in
            guard let port = state.ports.removeValue(forKey: number.rawValue) else { return nil }
            state.patchCounters[number.rawValue] = nil
            let stations = state.macTable.entries(now: clock.now).filter { $0.port == number }
            return (port, stations, state.macTable.remove(port: number))
        }
        guard let (port, stations, learned) = removed ?? nil else { return false }
        var stale = dependencies(of: port, in: bridge).union(learned)
        // Behind patch ports other bridges know the same stations, wherever they thought them to be.
        if !stations.isEmpty {
            for state in control.withLock({ $0.states }) where state.bridge !== bridge { stale.formUnion(state.macTable.remove(stations)) }
        }
        stamp(stale)
        bridge.eventReceiver?.portStatus(port, reason: .delete, from: bridge)
        return true
    }

    func updatePort(_ number: OpenFlowPort, of bridge: Bridge, _ body: (inout BridgePort) -> Void) -> Bool {
        let changed: (BridgePort, BridgePort, DependencySet)?? = change(bridge) { state, _ in
            guard let old = state.ports[number.rawValue] else { return nil }
            var port = old
            body(&port)
            port.number = number
            state.ports[number.rawValue] = port
            // What was learned behind a port that carries other VLANs now may be wrong.
            let hasOtherVLANs =
                old.vlanMode != port.vlanMode || old.tag != port.tag || old.trunks != port.trunks
                || old.customerVLANs != port.customerVLANs
            return (old, port, hasOtherVLANs ? state.macTable.remove(port: number) : [])
        }
        guard let (old, port, learned) = changed ?? nil else { return false }
        if old == port { return true }
        stamp(dependencies(of: old, in: bridge).union(dependencies(of: port, in: bridge)).union(learned))
        bridge.eventReceiver?.portStatus(port, reason: .modify, from: bridge)
        return true
    }

    func updateSettings(of bridge: Bridge, _ body: (inout BridgeSettings) -> Void) {
        let isChanged = change(bridge) { state, _ in
            let old = state.settings
            body(&state.settings)
            return old != state.settings
        }
        if isChanged == true { stamp(.all) }
    }

    func setMACLearning(of bridge: Bridge, capacity: Int, ageingSeconds: Int) {
        let dependencies = change(bridge) { state, _ in
            state.macTable.setAgeing(seconds: ageingSeconds)
            if state.macTable.setCapacity(capacity) { return DependencySet() }
            state.macTable = MACTable(bridge: bridge.identifier, capacity: capacity, ageingSeconds: ageingSeconds, seed: seed)
            return DependencySet.all
        }
        if let dependencies { stamp(dependencies) }
    }

    /// Publishes the picture of `control`; the old one goes when its readers have gone.
    private func publish(_ control: inout Control) {
        let made = Unmanaged.passRetained(Topology(control.states))
        let old = currentTopology
        topology.store(UInt(bitPattern: made.toOpaque()), ordering: .releasing)
        control.retired.append((epochs.advance(), old))
        reclaim(&control)
    }

    private func reclaim(_ control: inout Control) {
        if control.retired.isEmpty { return }
        let oldest = epochs.oldestReader()
        let passed = control.retired.prefix { $0.tag < oldest }.count
        for entry in control.retired.prefix(passed) { entry.topology.release() }
        control.retired.removeFirst(passed)
    }

    // MARK: Time

    /// Removes expired rules and learned stations, and frees what nobody looks at any more. Call it about once a second.
    ///
    /// - Parameter limit: as for `settle`.
    /// - Returns: what `settle` returns.
    @discardableResult
    public func run(settling limit: Int = .max) -> Bool {
        let states = control.withLock { control in
            reclaim(&control)
            return control.states
        }
        for state in states {
            state.bridge.expireFlows()
            stamp(state.macTable.expire(now: clock.now))
        }
        return settle(atMost: limit)
    }

    /// Rules that were added or removed so far.
    public var changedRules: UInt64 { ruleChanges.load(ordering: .relaxed) }

    /// Frees what nobody looks at any more.
    ///
    /// - Parameter limit: rules of a table that are freed at most, so that the caller is not held up: 1,000 take about a
    ///   millisecond.
    /// - Returns: whether something is left, for another call soon.
    public func settle(atMost limit: Int) -> Bool {
        let states = control.withLock { $0.states }
        return states.reduce(false) { $1.bridge.settle(atMost: limit) || $0 }
    }
}
