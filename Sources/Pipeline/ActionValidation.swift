// What the actions of a flow-mod or packet-out must be like before the pipeline takes them.
//
// The check follows the actions in order with what the match says of the packet, so that `push_vlan` makes a VLAN field
// writable and `pop_mpls` an IP one (OpenFlow 1.5 section 7.2.6, "match inconsistent").

internal import Flow

enum ActionValidation {
    private static let etherTypeMPLS: Set<UInt16> = [0x8847, 0x8848]
    private static let etherTypeVLAN: Set<UInt16> = [0x8100, 0x88a8]

    private struct State {
        /// What is known of the packet at this point.
        var known: Match
        let table: UInt8
        /// Whether actions on what a packet lacks are legal, as in OpenFlow 1.0, and do nothing.
        var isLenient = false
        /// Tags known to be below the outermost.
        var innerTags = 0
        var count = 0
        /// Whether a header was taken off behind which anything may be.
        var isUnknown = false
        /// Whether the packet has no Ethernet header at this point.
        var hasNoFrame = false
    }

    /// - Parameter isLenient: OpenFlow 1.0's rule, where actions on fields that a packet lacks do nothing.
    static func check(_ actions: [Action], match: Match, table: UInt8, isLenient: Bool = false) throws(FlowModError) {
        var state = State(known: match, table: table, isLenient: isLenient)
        try check(actions, &state, depth: 0, isActionSet: false)
    }

    private static func check(_ actions: [Action], _ state: inout State, depth: Int, isActionSet: Bool) throws(FlowModError) {
        if depth > PipelineLimits.actionNesting { throw .tooManyActions(limit: PipelineLimits.actionsPerRule) }
        // A rule that is part of a conjunction does nothing by itself.
        let isConjunctive = actions.contains { if case .conjunction = $0 { true } else { false } }
        for action in actions {
            if isConjunctive {
                switch action {
                case .conjunction, .note: break
                default: throw .badConjunction
                }
            }
            state.count += 1
            if state.count > PipelineLimits.actionsPerRule { throw .tooManyActions(limit: PipelineLimits.actionsPerRule) }
            try check(action, &state, depth: depth, isActionSet: isActionSet)
        }
    }

    private static func check(_ action: Action, _ state: inout State, depth: Int, isActionSet: Bool) throws(FlowModError) {
        if isActionSet, !ActionSet.mayHold(action) { throw .unsupportedAction("\(FlowText.format(action)) in write_actions") }
        switch action {
        case .output(let port, _), .enqueue(let port, _): try check(port)
        case .outputTruncated(let port, let length):
            try check(port)
            if length < 14 { throw .badArgument("max_len=\(length) is too short: an Ethernet header is 14 bytes") }
            // Where the packet is not sent as it is, there is nothing to cut.
            if [.normal, .flood, .all, .controller, .table].contains(port) { throw .badOutPort(port) }
        case .outputField(let source, _): try checkRead(source, state)
        case .controller: break
        case .finTimeout: try checkStandard(.tcpSrc, state)
        case .setQueue, .popQueue, .note, .exit, .debugRecirculate, .debugSlow, .clearActions, .setTunnelID: break
        case .decrementTTL: try checkStandard(.nwTTL, state)
        // Whether they exist is for whoever knows them (`ActionReferences`).
        case .group, .meter: break
        case .sample: break
        case .conjunction:
            if depth > 0 { throw .badConjunction }
        case .learn(let learn): try check(learn, state)
        case .encapsulate(let header):
            try checkOptions(header)
            if header.packetType == .ethernet {
                state.known.clear(.vlanTCI)
            } else {
                forgetNetwork(&state)
                state.known.set(.ethType, UInt128(header.packetType.type))
                state.isUnknown = false
            }
            state.hasNoFrame = header.packetType != .ethernet
        case .decapsulate:
            // Behind Ethernet is what its type says; behind anything else may be anything.
            if state.hasNoFrame {
                forgetNetwork(&state)
                state.isUnknown = true
            }
            state.hasNoFrame.toggle()
        case .decrementNSHTTL: try checkStandard(.nshTTL, state)
        case .connectionTrack, .nat, .clearConnectionTrack: throw .unsupportedAction(FlowText.format(action))
        case .pushPBB(let etherType):
            if etherType != 0x88e7 { throw .badArgument("push_pbb takes 0x88e7") }
            forgetNetwork(&state)
            state.known.clear(.vlanTCI)
            state.known.set(.ethType, UInt128(etherType))
        case .popPBB:
            try checkPrerequisites(.pbbISID, state)
            state.isUnknown = true
        case .copyTTLOut, .copyTTLIn: try checkPrerequisites(.mplsTTL, state)
        case .multipath(let multipath): try checkWrite(multipath.destination, state)
        case .bundle(let bundle):
            for member in bundle.members { try check(member) }
            if let destination = bundle.destination { try checkWrite(destination, state) }
        case .checkPacketLarger(_, let target): try checkWrite(target, state)
        case .deleteField(let field): if !isWritable(field) { throw .notWritable(field) }
        case .setField(let field, let value, let mask, _):
            if !isWritable(field) { throw .notWritable(field) }
            if (value | mask) & ~field.layout.allOnes != 0 {
                throw .badArgument("value for \(field.name) has more than its \(field.layout.bits) bits")
            }
            try checkPrerequisites(field, state)
            if field == .vlanVID { try checkStandard(.vlanPCP, state) }
            if field == .ethType || field == .nwProto {
                forgetNetwork(&state)
                if field == .ethType { state.known.set(.ethType, value) } else { state.known.set(.nwProto, value) }
            }
        case .move(let from, let to):
            try checkRead(from, state)
            if !isWritable(to.field) { throw .notWritable(to.field) }
            try checkRead(to, state)
            if from.bits != to.bits {
                throw .badArgument("move copies \(from.bits) bits of \(from.field.name) to \(to.bits) of \(to.field.name)")
            }
        case .push(let source): try checkRead(source, state)
        case .pop(let target):
            if !isWritable(target.field) { throw .notWritable(target.field) }
            try checkRead(target, state)
        case .setVLANID(let id, let push):
            if id > 0xfff { throw .badArgument("VLAN \(id) is above 4095") }
            if push { state.known.set(.vlanTCI, 0x1000, mask: 0x1000) } else { try checkPrerequisites(.vlanPCP, state) }
        case .setVLANPriority(let priority, let push):
            if priority > 7 { throw .badArgument("VLAN priority \(priority) is above 7") }
            if push { state.known.set(.vlanTCI, 0x1000, mask: 0x1000) } else { try checkPrerequisites(.vlanPCP, state) }
        case .pushVLAN(let etherType):
            if !etherTypeVLAN.contains(etherType) { throw .badArgument("push_vlan takes 0x8100 or 0x88a8") }
            if state.known.key.meetsPrerequisites(of: .vlanPCP) { state.innerTags += 1 }
            state.known.clear(.vlanTCI)
            state.known.set(.vlanTCI, 0x1000)
        case .popVLAN:
            try checkStandard(.vlanPCP, state)
            if state.innerTags > 0 {
                state.innerTags -= 1
                return
            }
            state.known.clear(.vlanTCI)
        case .pushMPLS(let etherType):
            if !etherTypeMPLS.contains(etherType) { throw .badArgument("push_mpls takes 0x8847 or 0x8848") }
            forgetNetwork(&state)
            state.known.set(.ethType, UInt128(etherType))
        case .popMPLS(let etherType):
            try checkStandard(.mplsLabel, state)
            forgetNetwork(&state)
            state.known.set(.ethType, UInt128(etherType))
        case .setMPLSLabel(let label):
            if label > 0xf_ffff { throw .badArgument("MPLS label \(label) is above 1048575") }
            try checkStandard(.mplsLabel, state)
        case .setMPLSTC(let value):
            if value > 7 { throw .badArgument("MPLS traffic class \(value) is above 7") }
            try checkStandard(.mplsTC, state)
        case .setMPLSTTL, .decrementMPLSTTL: try checkStandard(.mplsTTL, state)
        case .setEthSrc, .setEthDst: break
        case .setIPv4Src, .setIPv4Dst: try checkStandard(.nwSrc, state)
        case .setIPDSCP, .setIPECN, .setIPTTL: try checkStandard(.nwTTL, state)
        case .setL4Src, .setL4Dst:
            let isTransport = [Field.tcpSrc, .udpSrc, .sctpSrc].contains { state.known.key.meetsPrerequisites(of: $0) }
            if !state.isLenient, !state.isUnknown, !isTransport { throw .matchInconsistent(.tcpSrc) }
        case .resubmit(_, let table), .resubmitTracked(_, let table):
            if let table, Int(table) >= PipelineLimits.tableCount { throw .badTable(table) }
        case .clone(let nested):
            let before = state.known
            try check(nested, &state, depth: depth + 1, isActionSet: isActionSet)
            state.known = before
        case .writeActions(let nested):
            // The set is carried out on what the packet is by then, which its own rule does not say.
            let before = (state.known, state.isLenient)
            state.isLenient = true
            try check(nested, &state, depth: depth + 1, isActionSet: true)
            (state.known, state.isLenient) = before
        case .writeMetadata: break
        case .gotoTable(let table):
            if isActionSet || depth > 0 { throw .unsupportedAction("goto_table within other actions") }
            if table <= state.table || Int(table) >= PipelineLimits.tableCount { throw .badGotoTable(table, from: state.table) }
        }
    }

    private static func check(_ port: OpenFlowPort) throws(FlowModError) {
        switch port {
        case .inPort, .table, .normal, .flood, .all, .controller, .local: return
        default:
            // NONE, which shares ANY's number, is legal as an output and does nothing; 0 is a number no port has.
            if port.rawValue >= OpenFlowPort.max16.rawValue, port != .any { throw .badOutPort(port) }
        }
    }

    /// The longest option of a network service header, and all of them together: the header says its length in 63 words at most,
    /// two of which are its own (RFC 8300 sections 2.2 and 2.5.1).
    private static let optionBytes = 127
    private static let optionsBytes = 61 * 4

    private static func checkOptions(_ header: EncapsulateAction) throws(FlowModError) {
        var bytes = 0
        for case .tlv(_, let type, let data) in header.properties {
            if data.count > optionBytes {
                throw .badArgument("option \(type) of \(data.count) bytes: one of a network service header has at most \(optionBytes)")
            }
            bytes += 4 + (data.count + 3) / 4 * 4
        }
        if bytes > optionsBytes {
            throw .badArgument("options of \(bytes) bytes; a network service header has room for \(optionsBytes)")
        }
    }

    /// Tracked connections' fields are written where a connection is tracked (`ct(exec)`), nowhere else.
    private static func isWritable(_ field: Field) -> Bool { field.info.isWritable && field != .ctMark && field != .ctLabel }

    private static func checkWrite(_ part: SubField, _ state: State) throws(FlowModError) {
        if !isWritable(part.field) { throw .notWritable(part.field) }
        try checkRead(part, state)
    }

    private static func check(_ learn: LearnAction, _ state: State) throws(FlowModError) {
        if Int(learn.table) >= PipelineLimits.tableCount { throw .badArgument("learn into table \(learn.table), which is not there") }
        if let result = learn.resultDestination { try checkWrite(result, state) }
        // What the learned flow will match so far, for the prerequisites of the fields that come next.
        var learned = State(known: Match(), table: learn.table)
        for spec in learn.specs {
            if case .field(let source) = spec.source { try checkRead(source, state) }
            switch spec.target {
            case .match(let target):
                try checkRead(target, learned)
                if case .immediate(let value) = spec.source, target.bits == target.field.layout.bits {
                    learned.known.set(target.field, value)
                } else {
                    // The value comes with the packet: it is what the rule's own match says, if that says it.
                    let ones: UInt128 = target.bits == 128 ? .max : (1 << UInt128(target.bits)) - 1
                    if case .field(let source) = spec.source, target.bits == target.field.layout.bits {
                        learned.known.set(target.field, state.known.key[source.field] >> UInt128(source.offset) & ones)
                    }
                }
            case .load(let target):
                if !isWritable(target.field) { throw .notWritable(target.field) }
                try checkRead(target, learned)
            case .output: break
            }
        }
    }

    private static func checkRead(_ part: SubField, _ state: State) throws(FlowModError) {
        let bits = part.field.layout.bits
        if part.bits < 1 || part.offset < 0 || part.offset + part.bits > bits {
            throw .badArgument("bits \(part.offset) to \(part.offset + part.bits - 1) are not all in \(part.field.name), which has \(bits)")
        }
        try checkPrerequisites(part.field, state)
    }

    private static func checkPrerequisites(_ field: Field, _ state: State) throws(FlowModError) {
        // Bits that the match leaves wild are zero in its key, and no prerequisite is met by zeros.
        guard state.isUnknown || state.known.key.meetsPrerequisites(of: field) else { throw .matchInconsistent(field) }
    }

    /// The same for an action of the standard's early versions, which do nothing to packets that lack the field.
    private static func checkStandard(_ field: Field, _ state: State) throws(FlowModError) {
        if !state.isLenient { try checkPrerequisites(field, state) }
    }

    /// The headers behind a new or removed label are not known any more.
    private static func forgetNetwork(_ state: inout State) {
        for field: Field in [
            .nwSrc, .nwDst, .ipv6Src, .ipv6Dst, .ipv6Label, .nwProto, .nwTOS, .nwTTL, .ipFrag, .tcpSrc, .tcpDst, .tcpFlags,
        ] {
            state.known.clear(field)
        }
    }
}
