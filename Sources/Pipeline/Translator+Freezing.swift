// Stopping a translation and going on later.
//
// An action that needs what the translator cannot know, such as the header behind a label that was just taken off, stops the
// translation (`freeze`): the lists under way unwind, each leaving its rest in `frozenSegments`, and where the packet's way
// begins (a bridge's pipeline, a copy) the rest is given a number and the datapath is told to look at the packet again
// with that number (`finishFreezing`). The next upcall comes with it and goes on (`thaw`).

internal import Classifier
internal import DatapathAPI
internal import Flow

/// How much of the translator's picture no longer shows the packet.
enum Staleness: UInt8, Comparable {
    case none
    /// What is behind the Ethernet header.
    case network
    /// Everything.
    case frame

    static func < (left: Staleness, right: Staleness) -> Bool { left.rawValue < right.rawValue }
}

/// What happens where a frozen translation has unwound.
enum FreezePurpose {
    case recirculate
    /// Sends the packet to a controller that may have it go on.
    case pause(ControllerAction, cookie: UInt64)
    /// Goes on with the bit set or clear, whichever the packet's length says.
    case checkLength(UInt16, SubField)
}

extension Translator {
    /// The cookie of the rule whose actions are carried out.
    var currentCookie: UInt64 { rule?.cookie ?? thawedCookie ?? .max }

    var isTableMissRule: Bool {
        if let rule { return rule.priority == 0 && rule.shape.isEmpty }
        return thawedIsTableMiss
    }

    /// Whether `action` has to see what the picture does not show.
    func needsFresh(_ action: Action) -> Bool {
        func needs(_ field: Field) -> Bool {
            switch field.prerequisite {
            case .none:
                switch field {
                case .ethSrc, .ethDst, .vlanTCI, .vlanVID, .vlanVID12, .ethType: staleness == .frame
                default: false
                }
            case .vlan: staleness == .frame
            default: true
            }
        }
        switch action {
        case .output(let port, _), .outputTruncated(let port, _), .enqueue(let port, _):
            switch port {
            case .controller, .any: return false
            case .inPort: return view.byNumber[load32(FlowOffset.inPort)]?.datapathPort == DatapathPort.none
            case .normal, .flood, .all, .table: return staleness == .frame || view.ports.contains { $0.datapathPort == .none }
            default: return view.byNumber[port.rawValue]?.datapathPort == DatapathPort.none
            }
        case .controller, .setQueue, .popQueue, .note, .exit, .debugSlow, .meter, .clearActions, .writeActions, .writeMetadata, .sample,
            .clone,
            .conjunction, .deleteField, .setTunnelID, .clearConnectionTrack:
            return false
        case .encapsulate: return false
        case .decapsulate: return staleness == .frame
        case .setField(let field, _, _, _): return needs(field)
        case .push(let field), .pop(let field), .outputField(let field, _): return needs(field.field)
        case .move(let from, let to): return needs(from.field) || needs(to.field)
        case .setEthSrc, .setEthDst, .setVLANID, .setVLANPriority, .pushVLAN, .popVLAN, .pushPBB, .checkPacketLarger:
            return staleness == .frame
        default: return true
        }
    }

    // MARK: Stopping

    /// Stops here; `rest` is what this list still has to do when the translation goes on.
    func freeze(_ purpose: FreezePurpose, rest: ArraySlice<Action>) {
        freezing = purpose
        frozenSegments.removeAll()
        unwind(rest)
    }

    /// Adds the rest of a list to what is left to do.
    func unwind(_ rest: ArraySlice<Action>) {
        if rest.isEmpty { return }
        frozenSegments.append(
            FrozenState.Segment(table: table, cookie: currentCookie, isTableMiss: isTableMissRule, actions: Array(rest)))
    }

    /// Ends a stop: where the packet's way through this bridge, or this copy of it, began.
    func finishFreezing(withActionSet: Bool) {
        guard let purpose = freezing else { return }
        freezing = nil
        if failure != nil { return }
        var state = FrozenState(
            bridge: view.bridge.identifier, inPort: load32(FlowOffset.inPort), isPacketOut: isPacketOut, segments: frozenSegments,
            actionSet: withActionSet ? actionSet : [], stack: stack, packetMark: 0, words: [])
        frozenSegments.removeAll()
        switch purpose {
        case .checkLength(let length, let target):
            if withActionSet { actionSet.removeAll() }
            branch(length, target, state)
            return
        case .recirculate, .pause: break
        }
        commit()
        if !isFrame { return fail("a packet without an Ethernet header cannot be looked at anew") }
        // The state repeats what the pipeline knows as constants; what came with the packet is looked at. Bridges' ports
        // bring no tunnel headers of their own: where there are none, there is nothing to look at.
        lookBytes(FlowOffset.pktMark, 4)
        state.mirrored = mirrored
        state.packetMark = load32(FlowOffset.pktMark)
        let words = UnsafeRawPointer(memory).assumingMemoryBound(to: UInt64.self)
        if (24..<32).contains(where: { words[$0] != 0 }) { lookBytes(24 * 8, 64) }
        for range in FrozenState.wordRanges { for word in range { state.words.append(words[word]) } }
        if withActionSet { actionSet.removeAll() }
        let token = pipeline.frozen.acquire(state)
        frozenTokens.append(token)
        if case .pause(let controller, let cookie) = purpose {
            punt(controller, cookie: cookie, frozen: token)
            return
        }
        actions.append(.recirculate(token))
        outputCount += 1
    }

    /// Carries out what is left once for packets longer than `length`, and once for the others.
    private func branch(_ length: UInt16, _ target: SubField, _ state: FrozenState) {
        // Each question doubles what is left to do.
        guard takesStep() else { return }
        commit()
        var lists: [[DatapathAction]] = []
        for isLarger in [true, false] where failure == nil {
            let mark = actions.count
            isolated(wrapping: false) {
                report(.action, isLarger ? "-- if the packet is longer than \(length):" : "-- else:")
                actionSet = state.actionSet
                set(target, isLarger ? 1 : 0)
                goOn(state)
                if freezing == nil { runActionSet() }
                finishFreezing(withActionSet: true)
            }
            var list = Array(actions[mark...])
            actions.removeSubrange(mark...)
            Translator.trim(&list)
            lists.append(list)
        }
        if failure != nil { return }
        if lists[0] == lists[1] {
            actions += lists[0]
        } else {
            actions.append(.checkLength(length, larger: lists[0], other: lists[1]))
            // What the packet is afterwards nobody asks: everything that was left has been done.
            changeCount += 1
            fixedChangeCount += 1
        }
    }

    // MARK: Going on

    /// Goes on with a packet that came back.
    func thaw(_ state: FrozenState, _ topology: Topology) {
        guard let view = topology.bridges[state.bridge] else {
            drop(.inputPortClosed)
            return
        }
        self.view = view
        isPacketOut = state.isPacketOut
        enter(view)
        let words = UnsafeMutableRawPointer(memory).assumingMemoryBound(to: UInt64.self)
        let own = UnsafeMutableRawPointer(written).assumingMemoryBound(to: UInt64.self)
        let known = UnsafeMutableRawPointer(committed).assumingMemoryBound(to: UInt64.self)
        var next = 0
        for range in FrozenState.wordRanges {
            for word in range where next < state.words.count {
                words[word] = state.words[next]
                own[word] = .max
                known[word] = .max
                next += 1
            }
        }
        store32(FlowOffset.pktMark, state.packetMark)
        RawField.store(written, .pktMark, .max, mask: .max)
        RawField.store(committed, .pktMark, .max, mask: .max)
        base.pointee = key.pointee
        store32(FlowOffset.inPort, state.inPort)
        stack = state.stack
        actionSet = state.actionSet
        mirrored = state.mirrored
        goOn(state)
        if freezing == nil { runActionSet() }
        finishFreezing(withActionSet: true)
    }

    private func goOn(_ state: FrozenState) {
        for index in state.segments.indices {
            let segment = state.segments[index]
            table = segment.table
            rule = nil
            thawedCookie = segment.cookie
            thawedIsTableMiss = segment.isTableMiss
            _ = run(segment.actions, isTail: false)
            if freezing != nil {
                frozenSegments += state.segments[(index + 1)...]
                return
            }
            if hasExited || failure != nil { return }
        }
    }
}
