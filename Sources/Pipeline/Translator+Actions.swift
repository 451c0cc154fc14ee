// Carrying out actions, in order.

internal import DatapathAPI
internal import Flow

extension Translator {
    /// Carries out a list.
    ///
    /// - Parameter isTail: nothing follows the list, so where its last action goes on in a table, the caller may go there
    ///   instead of coming back here.
    func run(_ list: [Action], isTail: Bool) -> Next {
        for index in list.indices {
            if hasExited || failure != nil { return .end }
            if actions.count > PipelineLimits.datapathActions {
                fail("more than \(PipelineLimits.datapathActions) datapath actions")
                return .end
            }
            let action = list[index]
            if staleness != .none, needsFresh(action) {
                freeze(.recirculate, rest: list[index...])
                return .end
            }
            report(.action, TraceText.action(action))
            if case .checkPacketLarger(let length, let target) = action {
                freeze(.checkLength(length, target), rest: list[(index + 1)...])
                return .end
            }
            if case .debugRecirculate = action {
                freeze(.recirculate, rest: list[(index + 1)...])
                return .end
            }
            if case .controller(let controller) = action, controller.pause {
                freeze(.pause(controller, cookie: currentCookie), rest: list[(index + 1)...])
                return .end
            }
            let next = run(action)
            if freezing != nil {
                unwind(list[(index + 1)...])
                return .end
            }
            if case .stop = next { return .end }
            guard case .table(let table, let port, let canMiss) = next else { continue }
            if isTail, index == list.count - 1 { return next }
            runTable(table, port: port, canMissToController: canMiss)
            // Goto ends its list whatever comes after it.
            if canMiss { return .end }
            if freezing != nil {
                unwind(list[(index + 1)...])
                return .end
            }
        }
        return .end
    }

    private func run(_ action: Action) -> Next {
        if isNarrow { lookAtProtocol(action) }
        switch action {
        case .output(let port, let length): output(to: port, maxLength: length)
        case .outputField(let source, let length):
            look(source)
            let port = UInt32(truncatingIfNeeded: min(read(source), UInt128(UInt32.max)))
            report(.detail, "output port is \(port)")
            output(to: OpenFlowPort(Translator.wide(port)), maxLength: length)
        case .outputTruncated(let port, let length): outputTruncated(to: port, length)
        case .enqueue(let port, let queue):
            let outer = load32(FlowOffset.skbPriority)
            store32(FlowOffset.skbPriority, queue)
            output(to: port, maxLength: 0)
            store32(FlowOffset.skbPriority, outer)
        case .controller(let controller): punt(controller, cookie: currentCookie)
        case .setQueue(let queue): RawField.store(key, .skbPriority, UInt128(queue), mask: .max)
        case .popQueue: RawField.store(key, .skbPriority, 0, mask: .max)
        case .setField(let field, let value, let mask, _): set(field, value, mask: mask)
        case .move(let from, let to):
            guard meetsPrerequisites(of: from.field), meetsPrerequisites(of: to.field) else { break }
            look(from)
            set(to, read(from))
            reportValue(of: to)
        case .push(let source):
            if stack.count >= PipelineLimits.stackDepth {
                fail("resubmits yielded over 64 kB of stack", .stackTooDeep)
            } else {
                if meetsPrerequisites(of: source.field) { look(source) }
                stack.append(read(source))
            }
        case .pop(let target):
            if let value = stack.popLast() {
                set(target, value)
                reportValue(of: target)
            } else {
                complain("stack underflow")
            }
        case .setVLANID(let id, let push):
            if push || load16(FlowOffset.vlanTCI) & Translator.vlanPresent != 0 {
                setVLAN(UInt16(id) & 0xfff | Translator.vlanPresent, mask: 0x1fff)
            }
        case .setVLANPriority(let priority, let push):
            if push || load16(FlowOffset.vlanTCI) & Translator.vlanPresent != 0 {
                setVLAN(UInt16(priority & 7) << 13 | Translator.vlanPresent, mask: 0xf000)
            }
        case .pushVLAN(let etherType): pushVLAN(tpid: etherType, tci: nil)
        case .popVLAN: popVLAN()
        case .pushMPLS(let etherType): pushMPLS(etherType)
        case .popMPLS(let etherType): popMPLS(etherType)
        case .setMPLSLabel(let label): set(.mplsLabel, UInt128(label), mask: 0xf_ffff)
        case .setMPLSTC(let value): set(.mplsTC, UInt128(value), mask: 7)
        case .setMPLSTTL(let value): set(.mplsTTL, UInt128(value), mask: 0xff)
        case .decrementMPLSTTL: if decrement(.mplsTTL, controllerIDs: []) { return .stop }
        case .setEthSrc(let address): set(.ethSrc, UInt128(address), mask: 0xffff_ffff_ffff)
        case .setEthDst(let address): set(.ethDst, UInt128(address), mask: 0xffff_ffff_ffff)
        // Of IPv4 packets only: ARP's addresses are set by their own fields.
        case .setIPv4Src(let address): set(.nwSrc, UInt128(address), mask: 0xffff_ffff)
        case .setIPv4Dst(let address): set(.nwDst, UInt128(address), mask: 0xffff_ffff)
        case .setIPDSCP(let value): set(.nwTOS, UInt128(value), mask: 0xfc)
        case .setIPECN(let value): set(.nwECN, UInt128(value), mask: 3)
        case .setIPTTL(let value): set(.nwTTL, UInt128(value), mask: 0xff)
        case .setL4Src(let port): setPort([.tcpSrc, .udpSrc, .sctpSrc], port)
        case .setL4Dst(let port): setPort([.tcpDst, .udpDst, .sctpDst], port)
        case .decrementTTL(let controllerIDs):
            if decrement(.nwTTL, controllerIDs: controllerIDs) { return .stop }
        case .setTunnelID(let value): set(.tunID, UInt128(value), mask: UInt128(UInt64.max))
        case .resubmit(let port, let next):
            return .table(next ?? table, port: port == .inPort ? nil : port, canMissToController: false)
        case .note: break
        case .exit: hasExited = true
        case .debugSlow: isSlow = true
        // `run(list)` knows it.
        case .debugRecirculate: break
        case .clone(let nested):
            // The copy has the action set as it is now, and carries it out, as with the field's switches.
            isolated {
                _ = run(nested, isTail: false)
                if freezing == nil { runActionSet() }
                finishFreezing(withActionSet: true)
            }
        // A list ends where it names a group that is not there.
        case .group(let group): if !send(toGroup: group) { return .stop }
        case .meter(let meter): pass(throughMeter: meter)
        case .conjunction, .sample: break
        case .resubmitTracked(let port, let next):
            return .table(next ?? table, port: port == .inPort ? nil : port, canMissToController: false)
        case .pushPBB: pushPBB()
        case .popPBB: popPBB()
        case .copyTTLOut: copyTTL(outwards: true)
        case .copyTTLIn: copyTTL(outwards: false)
        case .multipath(let multipath): run(multipath)
        case .bundle(let bundle): run(bundle)
        case .deleteField(let field): if meetsPrerequisites(of: field) { write(field, 0, bits: field.layout.allOnes) }
        case .learn(let learn): run(learn)
        case .finTimeout(let idle, let hard): finTimeout(idle: idle, hard: hard)
        // `run(list)` knows it.
        case .checkPacketLarger: break
        // Refused when the flow is added.
        case .connectionTrack, .nat, .clearConnectionTrack: break
        case .encapsulate(let header): encapsulate(header)
        case .decapsulate(let next): decapsulate(next)
        case .decrementNSHTTL: if decrement(.nshTTL, controllerIDs: []) { return .stop }
        case .clearActions:
            actionSet.removeAll(keepingCapacity: true)
            store32(FlowOffset.actsetOutput, Translator.unsetPort)
        case .writeActions(let list):
            actionSet += list
            report(.detail, "action set is: " + TraceText.actions(actionSet))
            noteActionSetOutput()
        case .writeMetadata(let value, let mask): write(.metadata, UInt128(value), bits: UInt128(mask))
        case .gotoTable(let next): return .table(next, port: nil, canMissToController: true)
        }
        return .end
    }

    /// The field's switches look at the protocol where they set some of the fields of an IP header.
    private func lookAtProtocol(_ action: Action) {
        let isIP = load16(FlowOffset.etherType) == 0x0800 || load16(FlowOffset.etherType) == 0x86dd
        guard isIP else { return }
        switch action {
        case .setIPv4Src, .setIPv4Dst, .setIPDSCP, .setIPECN, .setIPTTL, .decrementTTL: lookBytes(FlowOffset.nwProto, 1)
        case .setField(let field, _, let mask, _):
            let read: [Field] = [.nwSrc, .nwDst, .nwTTL, .ipv6Src, .ipv6Dst, .ipv6Label, .nwECN]
            let isRead = read.contains(field) || field == .nwTOS && mask & 3 != 0
            if isRead, hasPrerequisites(of: field) { lookBytes(FlowOffset.nwProto, 1) }
        default: break
        }
    }

    // MARK: The action set

    /// Carries out the action set.
    func runActionSet() {
        // `exit` ends the set too, as it does with the field's switches.
        guard failure == nil, !actionSet.isEmpty else { return }
        let outer = trace
        if trace != nil { trace = trace!.add(.table, "--. Executing action set:") }
        inActionSet = true
        defer {
            inActionSet = false
            trace = outer
        }
        let ordered = ActionSet.ordered(actionSet)
        actionSet.removeAll(keepingCapacity: true)
        if hasExited { return }
        _ = run(ordered, isTail: false)
    }

    /// What `actset_output` reads: the set's output, unless it has a group (OpenFlow 1.5 section 7.2.3.7).
    private func noteActionSetOutput() {
        var port = Translator.unsetPort
        for action in actionSet {
            switch action {
            case .group:
                store32(FlowOffset.actsetOutput, Translator.unsetPort)
                return
            case .output(let output, _): port = output.rawValue
            default: break
            }
        }
        store32(FlowOffset.actsetOutput, port)
    }

    // MARK: Fields

    func look(_ part: SubField) {
        let ones: UInt128 = part.bits == 128 ? .max : (1 << UInt128(part.bits)) - 1
        look(part.field, bits: ones << UInt128(part.offset))
    }

    func read(_ part: SubField) -> UInt128 {
        let ones: UInt128 = part.bits == 128 ? .max : (1 << UInt128(part.bits)) - 1
        return RawField.load(key, part.field) >> UInt128(part.offset) & ones
    }

    /// Says in a trace what a field is now.
    func reportValue(of part: SubField) {
        guard trace != nil else { return }
        let value = RawField.load(key, part.field)
        let text = FlowText.formatValue(part.field, value, mask: part.field.layout.allOnes)
        let isWhole = part.offset == 0 && part.bits == part.field.layout.bits
        let shown = isWhole ? text : FlowTextNumber.hex(UInt64(truncatingIfNeeded: read(part)))
        report(.detail, "\(FlowText.format(part)) is now \(shown)")
    }

    func set(_ part: SubField, _ value: UInt128) {
        let ones: UInt128 = part.bits == 128 ? .max : (1 << UInt128(part.bits)) - 1
        set(part.field, (value & ones) << UInt128(part.offset), mask: ones << UInt128(part.offset))
    }

    /// Writes bits of a field, if the packet has it.
    func set(_ field: Field, _ value: UInt128, mask: UInt128) {
        switch field {
        case .vlanTCI: setVLAN(UInt16(truncatingIfNeeded: value), mask: UInt16(truncatingIfNeeded: mask))
        case .vlanVID: setVLAN(UInt16(truncatingIfNeeded: value), mask: UInt16(truncatingIfNeeded: mask) & 0x1fff)
        case .vlanVID12:
            setVLAN(
                UInt16(truncatingIfNeeded: value) | Translator.vlanPresent, mask: UInt16(truncatingIfNeeded: mask) | Translator.vlanPresent)
        case .vlanPCP:
            setVLAN(
                UInt16(truncatingIfNeeded: value) << 13 | Translator.vlanPresent,
                mask: UInt16(truncatingIfNeeded: mask) << 13 | Translator.vlanPresent)
        case .ethType, .nwProto:
            guard meetsPrerequisites(of: field) else { return }
            retype(field, value)
        default:
            guard meetsPrerequisites(of: field) else { return }
            if isNarrow { look(field, bits: mask) }
            write(field, value, bits: mask)
        }
    }

    private func setPort(_ fields: [Field], _ port: UInt16) {
        for field in fields where meetsPrerequisites(of: field) {
            set(field, UInt128(port), mask: 0xffff)
            return
        }
    }

    /// Takes one off a TTL. True if it is used up: the rest of the list is not for this packet.
    private func decrement(_ field: Field, controllerIDs: [UInt16]) -> Bool {
        guard meetsPrerequisites(of: field) else { return false }
        look(field, bits: 0xff)
        let ttl = UInt8(truncatingIfNeeded: RawField.load(key, field))
        if ttl > 1 {
            write(field, UInt128(ttl - 1), bits: 0xff)
            return false
        }
        let isIPv6 = load16(FlowOffset.etherType) == 0x86dd
        report(
            .warning,
            field == .mplsTTL
                ? "MPLS decrement TTL exception"
                : field == .nshTTL ? "NSH decrement TTL exception" : "IPv\(isIPv6 ? 6 : 4) decrement TTL exception")
        let receivers = controllerIDs.isEmpty && (isNarrow || view.settings.sendsInvalidTTLToController) ? [0] : controllerIDs
        for id in receivers { punt(ControllerAction(controllerID: id, reason: .invalidTTL), cookie: currentCookie) }
        drop(.ttlExpired)
        return true
    }
}
