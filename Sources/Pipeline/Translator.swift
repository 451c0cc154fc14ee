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
    /// Whether the packet had a tag as it came in.
    var isTaggedHere = false

    // The walk.
    var table: UInt8 = 0
    unowned(unsafe) var rule: FlowRule?
    /// Ways back to earlier tables, patch ports and copies that the walk is in.
    var depth = 0
    /// Tables that the walk is to come back to.
    var nesting = 0
    var lookupCount = 0
    var livenessCount = 0
    var hasExited = false
    var failure: String?
    var failureReason = DropReason.translationError
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
    /// Of the first rule that the packet met in this bridge: the action set is carried out on its behalf.
    var entryCookie: UInt64?
    var thawedIsTableMiss = false
    var staleness = Staleness.none
    /// Label stack entries that `key` has as they are.
    var knownLabels = 0
    /// Tags that were pushed down below the two that `key` has, innermost first.
    var buriedTags: [(tci: UInt16, tpid: UInt16)] = []

    // Headers in front of everything (`+Encapsulation`).
    var pendingHeader: PendingHeader?
    /// Whether the key has what is behind the outermost header.
    var isInnerKnown = true
    /// Whether the outermost network header was put on here.
    var isOuterOwn = false

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
    /// For the log, of a packet that is really there.
    var complaints: [String] = []
    private static let mostComplaints = 4
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
        nesting = 0
        lookupCount = 0
        livenessCount = 0
        hasExited = false
        failure = nil
        complaints.removeAll(keepingCapacity: true)
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
        entryCookie = nil
        thawedIsTableMiss = false
        staleness = .none
        buriedTags.removeAll()
        pendingHeader = nil
        isInnerKnown = true
        isOuterOwn = false
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
        isTaggedHere = load16(FlowOffset.vlanTCI) & Translator.vlanPresent != 0
    }

    /// Registers, metadata and action-set output as they are when a packet enters a bridge.
    func clearPipelineLines() {
        (memory + 40 * 8).initializeMemory(as: UInt64.self, repeating: 0, count: FlowKey.wordCount - 40)
        store32(FlowOffset.actsetOutput, Translator.unsetPort)
    }

    /// The same as a controller gives them with a packet of its own.
    func takePipelineLines(_ packet: borrowing FlowKey) {
        for word in 40..<FlowKey.wordCount { key.pointee.words[word] = packet.words[word] }
        // What the controller says of a tunnel is the pipeline's; the datapath's packet came by none.
        for word in 24..<32 { written.pointee.bits.words[word] = .max }
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
        entryCookie = nil
        runTable(0, port: nil, canMissToController: true)
        thawedCookie = entryCookie
        if freezing == nil { runActionSet() }
        finishFreezing(withActionSet: true)
    }

    /// Makes the answer out of what was collected.
    func finish(into translation: inout Translation, keepsRecord: Bool) {
        if failure != nil {
            actions.removeAll(keepingCapacity: true)
            outputCount = 0
            dropReason = failureReason
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
        // The field's switch, which compares tags as they are, looks at the tag of a packet that has one.
        if isNarrow, trace == nil, isTaggedHere { translation.mask.bits[.vlanTCI] |= 0x1fff }
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
            case .set, .pushVLAN, .popVLAN, .pushMPLS, .popMPLS, .pushPBB, .popPBB, .copyTTLOut, .copyTTLIn, .truncate, .pushEthernet,
                .popEthernet, .pushNSH, .popNSH, .addMPLS, .removeMPLS:
                list.removeLast()
            case .clone(let nested):
                list.removeLast()
                list += nested
                if nested.isEmpty { continue }
                return
            default: return
            }
        }
    }

    // MARK: Notes

    /// Ends the translation: the packet goes nowhere.
    ///
    /// - Parameter isLogged: whether it is the tables' fault, and not the packet's.
    func fail(_ reason: String, _ counted: DropReason = .translationError, isLogged: Bool = true) {
        if failure == nil {
            failure = reason
            failureReason = counted
        }
        if isLogged { complain(reason) } else { report(.error, reason) }
    }

    /// Says that a packet met what whoever wrote the tables did not mean.
    func complain(_ text: String) {
        report(.error, text)
        if trace == nil, hasSideEffects, complaints.count < Translator.mostComplaints {
            complaints.append("\(text) on bridge \(view?.bridge.name ?? "?")")
        }
    }

    /// Why the packet does not leave, if it does not; the first reason counts.
    func drop(_ reason: DropReason) {
        if dropReason == nil { dropReason = reason }
    }

    @inline(__always) func report(_ kind: TraceNode.Kind, _ text: @autoclosure () -> String) {
        if trace != nil { trace!.add(kind, text()) }
    }
}
