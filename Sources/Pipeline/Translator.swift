// Translation: a packet's key walks through the tables; out come datapath actions and the mask of what was looked at.
//
// The translator keeps two pictures of the packet: `key`, as the tables see it now, and `base`, as the datapath has it
// after the actions so far. Actions that change headers change `key`; only an output makes the difference into datapath
// actions (`commit`), so that what is changed and changed back costs nothing.
//
// What was looked at: `looked` holds the bits of the *received* packet that the decision rests on. A bit of `key` that an
// action has written (`written`) says nothing about the received packet, so reading it adds nothing. A field that is set
// to a constant is not read either: the datapath is told to set it whether or not it had that value, unless its value is
// known, and then nothing is done if it is the same. Three facts for every bit of the packet:
//
//     written    the bit of `key` does not come from the received packet (or what it comes from is looked at)
//     dirty      the bit of `key` was written since the last commit
//     committed  the bit of `base` was set by a datapath action: its value is known whatever was received
//
// All of them are raw memory, one block a translator; translators are made once, one for each reader slot.

internal import Base
internal import Classifier
internal import DatapathAPI
internal import Flow
internal import Synchronization

/// Translates one packet at a time.
///
/// ## Thread safety
/// Used by the holder of one slot of the pipeline's `ReaderEpochs` only.
final class Translator: @unchecked Sendable {
    /// `OFPP_UNSET`: what `actset_output` holds while the action set has no output.
    static let unsetPort: UInt32 = 0xffff_fff7
    static let vlanPresent: UInt16 = 0x1000

    // The pictures and facts, 512 bytes each; the first five make up what `isolated` saves.
    let memory: UnsafeMutableRawPointer
    let key: UnsafeMutablePointer<FlowKey>
    let base: UnsafeMutablePointer<FlowKey>
    let written: UnsafeMutablePointer<FlowMask>
    let dirty: UnsafeMutablePointer<FlowMask>
    let committed: UnsafeMutablePointer<FlowMask>
    let looked: UnsafeMutablePointer<FlowMask>
    let lookupMask: UnsafeMutablePointer<FlowMask>
    static let savedBytes = 5 * FlowKey.byteCount
    /// Memory for what `isolated` saves, by depth.
    var frames: [UnsafeMutableRawPointer] = []
    var frameCount = 0

    // Set by `begin`; unowned while a translation runs, which its caller's slot makes safe.
    unowned(unsafe) var pipeline: SwitchPipeline!
    unowned(unsafe) var view: BridgeView!
    var now = Instant(nanoseconds: 0)
    var hasSideEffects = false
    /// Whether this is a packet-out, which reports its own reason and may output to TABLE.
    var isPacketOut = false
    var trace: TraceNode?
    /// Whether the field's datapath could not carry the actions out by itself.
    var isSlow = false
    /// In a trace: the conjunctive rules that made the last lookup's rule match.
    var completing: [FlowRule] = []
    /// As `SwitchPipeline.matchesWhatIsSet`.
    var isNarrow = false

    // The walk.
    var table: UInt8 = 0
    unowned(unsafe) var rule: FlowRule?
    var depth = 0
    var lookupCount = 0
    var hasExited = false
    var failure: String?
    var inActionSet = false
    var actionSet: [Action] = []
    var stack: [UInt128] = []
    /// Versions of bridges' tables, taken when a bridge is first entered, so that one translation sees one version.
    var bridgeVersions: [(bridge: UInt32, version: UInt64)] = []
    var version: UInt64 = 0

    // Stopping and going on (`+Freezing`).
    var freezing: FreezePurpose?
    var frozenSegments: [FrozenState.Segment] = []
    var frozenTokens: [UInt32] = []
    /// False where the next packet may have to be decided differently though nothing it depends on was stamped.
    var isCacheable = true
    var lessons: [Lesson] = []
    var finTimeouts: [FinTimeout] = []
    /// Of the rule whose actions go on, which itself is not known any more.
    var thawedCookie: UInt64?
    var thawedIsTableMiss = false
    var staleness = Staleness.none
    /// Label stack entries that `key` has as they are.
    var knownLabels = 0
    /// Tags that were pushed down below the two that `key` has, innermost first.
    var buriedTags: [(tci: UInt16, tpid: UInt16)] = []

    // Changes of headers.
    var isDirty = false
    var isVLANStructureDirty = false
    /// Datapath actions so far that change the packet.
    var changeCount = 0
    /// Of them, those that cannot be set back.
    var fixedChangeCount = 0

    // The answer.
    var actions: [DatapathAction] = []
    var outputCount = 0
    var dropReason: DropReason?
    var dependencies = DependencySet()
    /// As `Translation.rewrittenWords`.
    var rewrittenWords: UInt64 = 0
    /// The bridge and port by which the packet came in; 0 is not said.
    var entryBridge: UInt32 = 0
    var entryPort: UInt32 = 0
    var visits: [TableVisit] = []
    private var recentRecords = RecentRecords()
    var stations: [StationSighting] = []
    var newStations: [StationSighting] = []
    var tokens: [PuntToken] = []
    var groupVisits: [GroupVisit] = []
    /// Recirculation ids that the actions name.
    var recirculations: [UInt32] = []
    /// Whether the actions are a bucket's.
    var isInBucket = false
    /// Bits of the mirrors that got a copy of the packet as it was at `mirrorChange`.
    var mirrored: UInt32 = 0
    var mirrorChange = 0
    var mirrorVisits: [Mirror] = []
    /// Counters of the patch ports crossed.
    var crossings: [GroupCounters] = []
    /// Counts the changes of the packet's headers.
    var changeMark = 0
    /// Most bytes of what is sent, for a mirror's copy; 0 is all.
    var snapLength: UInt16 = 0

    init() {
        memory = .allocate(byteCount: 7 * FlowKey.byteCount, alignment: 64)
        memory.initializeMemory(as: UInt64.self, repeating: 0, count: 7 * FlowKey.wordCount)
        func part<Value>(_ index: Int, of memory: UnsafeMutableRawPointer, as type: Value.Type) -> UnsafeMutablePointer<Value> {
            (memory + index * FlowKey.byteCount).bindMemory(to: Value.self, capacity: 1)
        }
        key = part(0, of: memory, as: FlowKey.self)
        base = part(1, of: memory, as: FlowKey.self)
        written = part(2, of: memory, as: FlowMask.self)
        dirty = part(3, of: memory, as: FlowMask.self)
        committed = part(4, of: memory, as: FlowMask.self)
        looked = part(5, of: memory, as: FlowMask.self)
        lookupMask = part(6, of: memory, as: FlowMask.self)
    }

    deinit {
        memory.deallocate()
        frames.forEach { $0.deallocate() }
    }

    // MARK: Beginning and end

    /// Prepares for a packet; what the last one left is gone.
    func begin(
        _ packet: borrowing FlowKey, pipeline: SwitchPipeline, hasSideEffects: Bool, isPacketOut: Bool = false, trace: TraceNode? = nil
    ) {
        self.pipeline = pipeline
        now = pipeline.clock.now
        isSlow = false
        isNarrow = pipeline.settings.matchesWhatIsSet.load(ordering: .relaxed)
        self.hasSideEffects = hasSideEffects
        self.isPacketOut = isPacketOut
        self.trace = trace
        table = 0
        rule = nil
        depth = 0
        lookupCount = 0
        hasExited = false
        failure = nil
        inActionSet = false
        isInBucket = false
        mirrored = 0
        mirrorChange = 0
        changeMark = 0
        snapLength = 0
        actionSet.removeAll(keepingCapacity: true)
        stack.removeAll(keepingCapacity: true)
        bridgeVersions.removeAll(keepingCapacity: true)
        isCacheable = true
        freezing = nil
        frozenSegments.removeAll()
        thawedCookie = nil
        thawedIsTableMiss = false
        staleness = .none
        buriedTags.removeAll()
        isDirty = false
        isVLANStructureDirty = false
        changeCount = 0
        fixedChangeCount = 0
        frameCount = 0
        outputCount = 0
        dropReason = nil
        dependencies = .topology
        rewrittenWords = 0
        entryBridge = 0
        (memory + 2 * FlowKey.byteCount).initializeMemory(as: UInt64.self, repeating: 0, count: 4 * FlowKey.wordCount)
        withUnsafeBytes(of: packet) { (memory).copyMemory(from: $0.baseAddress!, byteCount: FlowKey.byteCount) }
        clearPipelineLines()
        knownLabels = Int(load8(FlowOffset.mplsCount))
        base.pointee = key.pointee
        // The pipeline's own lines do not come from the packet.
        for word in 40..<FlowKey.wordCount { written.pointee.bits.words[word] = .max }
        looked.pointee.addStructural()
        // A trace shows what the rules look at; that a packet with a tag is one goes without saying.
        if trace == nil { lookBits16(FlowOffset.vlanTCI, Translator.vlanPresent) }
    }

    /// Registers, metadata and action-set output as they are when a packet enters a bridge.
    func clearPipelineLines() {
        (memory + 40 * 8).initializeMemory(as: UInt64.self, repeating: 0, count: FlowKey.wordCount - 40)
        store32(FlowOffset.actsetOutput, Translator.unsetPort)
    }

    /// The same as a controller gives them with a packet of its own.
    func takePipelineLines(_ packet: borrowing FlowKey) {
        for word in 40..<FlowKey.wordCount { key.pointee.words[word] = packet.words[word] }
        store32(FlowOffset.actsetOutput, Translator.unsetPort)
        base.pointee = key.pointee
    }

    /// The whole pipeline of a bridge, from table 0 to the action set.
    func runPipeline(from port: PortView) {
        view = port.bridge
        store32(FlowOffset.inPort, port.number.rawValue)
        entryBridge = view.bridge.identifier
        entryPort = port.number.rawValue
        enter(view)
        guard port.receives else {
            report(.error, "port \(port.port.name) is closed for packets that come in")
            drop(.inputPortClosed)
            return
        }
        if port.isMirrorOutput {
            report(
                .error, "dropping packet received on port \(port.port.name), which is reserved exclusively for mirroring")
            drop(.normalFiltered)
            return
        }
        if port.sourceMirrors != 0 { mirror(port, port.sourceMirrors) }
        if view.settings.hasFailedOpen {
            report(.detail, "the controllers are gone: the bridge forwards by itself")
            normal()
            return
        }
        runTable(0, port: nil, canMissToController: true)
        if freezing == nil { runActionSet() }
        finishFreezing(withActionSet: true)
    }

    /// Makes the answer out of what was collected.
    func finish(into translation: inout Translation, keepsRecord: Bool) {
        if failure != nil {
            actions.removeAll(keepingCapacity: true)
            outputCount = 0
            dropReason = .translationError
        }
        if outputCount == 0 {
            // Meters count what goes through them, wherever it ends.
            actions.removeAll { if case .meter = $0 { false } else { true } }
            actions.append(.drop(dropReason ?? .policy))
        } else {
            // Changes behind the last output are seen by nobody, and a copy that comes last needs no copying.
            Translator.trim(&actions)
        }
        swap(&translation.actions, &actions)
        actions.removeAll(keepingCapacity: true)
        translation.mask = looked.pointee
        if pipeline.settings.matchesEverything.load(ordering: .relaxed) {
            for word in 0..<40 { translation.mask.bits.words[word] = .max }
        }
        for word in 40..<FlowKey.wordCount { translation.mask.bits.words[word] = 0 }
        translation.dependencies = dependencies
        translation.rewrittenWords = rewrittenWords
        translation.isCacheable = isCacheable
        if keepsRecord {
            translation.effects = record(sequence: translation.sequence)
        } else {
            for token in tokens { pipeline.punts.release(token) }
            for id in recirculations { pipeline.recirculations.release(id) }
            for token in frozenTokens { pipeline.frozen.release(token) }
        }
        if hasSideEffects, failure == nil {
            for station in newStations {
                pipeline.stamp(station.table.learn(station.address, vlan: station.vlan, port: station.port, now: now))
            }
            for lesson in lessons { lesson.bridge.learnNow(lesson) }
        }
        visits.removeAll(keepingCapacity: true)
        stations.removeAll(keepingCapacity: true)
        newStations.removeAll(keepingCapacity: true)
        tokens.removeAll(keepingCapacity: true)
        groupVisits.removeAll(keepingCapacity: true)
        mirrorVisits.removeAll(keepingCapacity: true)
        if !crossings.isEmpty { crossings.removeAll() }
        recirculations.removeAll(keepingCapacity: true)
        frozenTokens.removeAll(keepingCapacity: true)
        lessons.removeAll(keepingCapacity: true)
        finTimeouts.removeAll(keepingCapacity: true)
        trace = nil
    }

    /// What the decision's packets count for: a new record, unless it says no more than one of the latest.
    private func record(sequence: UInt64) -> TranslationRecord {
        let isPlain =
            stations.isEmpty && tokens.isEmpty && groupVisits.isEmpty && mirrorVisits.isEmpty && crossings.isEmpty
            && recirculations.isEmpty && frozenTokens.isEmpty && lessons.isEmpty && finTimeouts.isEmpty
        if isPlain, let known = recentRecords.find(visits, sequence: sequence) { return known }
        let record = TranslationRecord(
            visits: Array(visits), stations: Array(stations), tokens: Array(tokens), registry: pipeline.punts,
            groups: Array(groupVisits), mirrors: Array(mirrorVisits), crossings: crossings, recirculations: Array(recirculations),
            recirculationRegistry: pipeline.recirculations, frozenTokens: frozenTokens, frozen: pipeline.frozen, lessons: lessons,
            finTimeouts: finTimeouts)
        if isPlain { recentRecords.remember(record) }
        return record
    }

    /// Takes useless changes off the end of a list, and unwraps copies there.
    static func trim(_ list: inout [DatapathAction]) {
        while let last = list.last {
            switch last {
            case .set, .pushVLAN, .popVLAN, .pushMPLS, .popMPLS, .pushPBB, .popPBB, .copyTTLOut, .copyTTLIn, .truncate: list.removeLast()
            case .clone(let nested):
                list.removeLast()
                list += nested
                if nested.isEmpty { continue }
                return
            default: return
            }
        }
    }

    // MARK: Tables

    /// Notes that the decision depends on a bridge, and takes the version of its tables.
    func enter(_ view: BridgeView) {
        let identifier = view.bridge.identifier
        dependencies.formUnion(.ports(bridge: identifier))
        if let known = bridgeVersions.first(where: { $0.bridge == identifier }) {
            version = known.version
        } else {
            version = view.bridge.publishedVersion.load(ordering: .acquiring)
            bridgeVersions.append((identifier, version))
        }
    }

    /// Where a list of actions says to go on.
    enum Next {
        case end
        /// The rest of the list is not for this packet.
        case stop
        case table(UInt8, port: OpenFlowPort?, canMissToController: Bool)
    }

    /// Looks a table up and carries out what it says, and the tables that it leads to.
    func runTable(_ first: UInt8, port firstPort: OpenFlowPort?, canMissToController firstCanMiss: Bool) {
        let savedTable = table
        let savedRule = rule
        let savedTrace = trace
        let wasInBucket = isInBucket
        isInBucket = false
        depth += 1
        defer {
            depth -= 1
            isInBucket = wasInBucket
            table = savedTable
            rule = savedRule
            trace = savedTrace
        }
        // The fragment's class is always in the mask.
        if view.settings.fragments == .drop, load8(FlowOffset.ipFragment) != 0 {
            _ = trace?.add(
                .table, "\(first < 10 ? " " : "")\(first). Packets are IP fragments and the fragment handling mode is \"drop\".")
            drop(.policy)
            return
        }
        if depth > PipelineLimits.translationDepth {
            fail("over max translation depth \(PipelineLimits.translationDepth)")
            return
        }
        var next = Next.table(first, port: firstPort, canMissToController: firstCanMiss)
        while case .table(let number, let port, let canMiss) = next, failure == nil {
            next = .end
            table = number
            lookupCount += 1
            if lookupCount > PipelineLimits.resubmits {
                fail("over \(PipelineLimits.resubmits) resubmit actions")
                return
            }
            guard let found = lookup(number, port: port) else {
                if view.settings.tableMisses[number] == .nextTable, Int(number) + 1 < PipelineLimits.tableCount {
                    _ = trace?.add(.table, "\(number < 10 ? " " : "")\(number). No match.")
                    next = .table(number + 1, port: port, canMissToController: canMiss)
                    continue
                }
                miss(number, canMissToController: canMiss)
                return
            }
            rule = found
            thawedCookie = nil
            if trace != nil {
                trace = trace!.add(.table, TraceText.rule(found))
                for member in completing { _ = trace!.add(.detail, "conj. " + TraceText.pattern(member)) }
                completing.removeAll()
                if found.actions.isEmpty { _ = trace!.add(.action, "drop") }
            }
            next = run(found.actions, isTail: true)
        }
    }

    /// The rule that the packet meets in a table; `port` stands in for the input port during the lookup.
    private func lookup(_ table: UInt8, port: OpenFlowPort?) -> FlowRule? {
        let bridge = view.bridge
        dependencies.formUnion(.table(bridge: bridge.identifier, table: table))
        var found: FlowRule?
        if let classifier = bridge.classifier(table) {
            let savedPort = load32(FlowOffset.inPort)
            if let port { store32(FlowOffset.inPort, port.rawValue) }
            let seen = UnsafeMutableRawPointer(lookupMask).assumingMemoryBound(to: UInt64.self)
            let all = UnsafeMutableRawPointer(looked).assumingMemoryBound(to: UInt64.self)
            let own = UnsafeMutableRawPointer(written).assumingMemoryBound(to: UInt64.self)
            for word in 0..<FlowKey.wordCount { seen[word] = 0 }
            // Handled as "normal", no fragment has ports or types for the tables, the first one neither.
            let isFragment = load8(FlowOffset.ipFragment) != 0 && view.settings.fragments == .normal
            let savedTransport = load32(FlowOffset.tpSrc)
            if isFragment { store32(FlowOffset.tpSrc, 0) }
            found = classifier._withUnsafeGuaranteedRef { classifier in
                if classifier.needsAllMatches.load(ordering: .relaxed) { return lookupConjunctive(classifier) }
                if isNarrow { return lookupStaged(classifier) }
                return classifier.lookup(key, version: version, mask: lookupMask).map {
                    unsafeDowncast($0.takeUnretainedValue(), to: FlowRule.self)
                }
            }
            if isFragment {
                store32(FlowOffset.tpSrc, savedTransport)
                UnsafeMutableRawPointer(lookupMask).storeBytes(of: 0, toByteOffset: FlowOffset.tpSrc, as: UInt32.self)
            }
            for word in 0..<40 { all[word] |= seen[word] & ~own[word] }
            noteRewritten(own, port: load32(FlowOffset.inPort))
            if port != nil { store32(FlowOffset.inPort, savedPort) }
        }
        visits.append(TableVisit(bridge: bridge, table: table, rule: found))
        return found
    }

    /// Notes which words of the key a lookup sees otherwise than they were received.
    @inline(__always) private func noteRewritten(_ own: UnsafePointer<UInt64>, port: UInt32) {
        for word in 0..<40 where own[word] != 0 { rewrittenWords |= 1 << UInt64(word) }
        if port != entryPort || view.bridge.identifier != entryBridge { rewrittenWords |= 1 << UInt64(TableChange.inPortWord) }
    }

    private func miss(_ table: UInt8, canMissToController: Bool) {
        let node = trace?.add(.table, "\(table < 10 ? " " : "")\(table). No match.")
        let inPort = view.byNumber[load32(FlowOffset.inPort)]
        let isSent =
            switch view.settings.tableMisses[table] {
            case nil, .standard: view.settings.sendsTableMissToController
            case .toController: true
            case .nextTable, .drop: false
            }
        if canMissToController, isSent, inPort?.port.configuration.contains(.noPacketIn) != true {
            node?.add(.action, "CONTROLLER:65535")
            punt(ControllerAction(reason: .noMatch), cookie: .max)
        } else {
            node?.add(.action, "drop")
            drop(.tableMiss)
        }
    }

    // MARK: Notes

    func fail(_ reason: String) {
        if failure == nil { failure = reason }
        report(.error, reason)
    }

    /// Why the packet does not leave, if it does not; the first reason counts.
    func drop(_ reason: DropReason) {
        if dropReason == nil { dropReason = reason }
    }

    @inline(__always) func report(_ kind: TraceNode.Kind, _ text: @autoclosure () -> String) {
        if trace != nil { trace!.add(kind, text()) }
    }
}
