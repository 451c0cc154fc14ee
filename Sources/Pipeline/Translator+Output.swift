// Sending: to ports, to other bridges, to controllers.

internal import Classifier
internal import DatapathAPI
internal import Flow
internal import OpenFlow

extension Translator {
    /// A port number read from a field, which may say a reserved port in OpenFlow 1.0's 16 bits, in the wide numbering.
    static func wide(_ port: UInt32) -> UInt32 { (OpenFlowPort.max16.rawValue...0xffff).contains(port) ? port | 0xffff_0000 : port }

    private var inPort: UInt32 { load32(FlowOffset.inPort) }

    func output(to port: OpenFlowPort, maxLength: UInt16) {
        switch port {
        case .inPort: send(toNumber: inPort, isBack: true)
        case .table:
            if isPacketOut {
                runTable(0, port: nil, canMissToController: true)
            } else {
                report(.warning, "output to TABLE is for packet-outs only")
            }
        case .normal: normal()
        case .flood: sendToAll { $0.floods }
        case .all: sendToAll { _ in true }
        case .controller: punt(ControllerAction(maxLength: maxLength), cookie: currentCookie)
        case .any: break
        default: send(toNumber: port.rawValue, isBack: false)
        }
    }

    /// Cuts the packet for one output.
    func outputTruncated(to port: OpenFlowPort, _ length: UInt32) {
        let number = port == .inPort ? inPort : port.rawValue
        guard let target = view.byNumber[number], target.datapathPort != .none else {
            report(
                .warning,
                view.byNumber[number] == nil
                    ? "Nonexistent output port" : "output_trunc does not support patch port \(number)")
            drop(.outputPortClosed)
            return
        }
        if number == inPort, port != .inPort {
            report(.warning, "skipping output to input port")
            return
        }
        commit()
        let before = actions.count
        actions.append(.truncate(maxLength: length))
        send(to: target)
        if actions.count == before + 1 { actions.removeLast() }
    }

    private func send(toNumber number: UInt32, isBack: Bool) {
        guard let port = view.byNumber[number] else {
            report(.warning, "Nonexistent output port")
            drop(.outputPortClosed)
            return
        }
        if number == inPort, !isBack {
            report(.warning, "skipping output to input port")
            return
        }
        send(to: port)
    }

    private func sendToAll(_ condition: (PortView) -> Bool) {
        let from = inPort
        for port in view.ports where port.number.rawValue != from && condition(port) {
            if failure != nil { return }
            send(to: port)
        }
    }

    /// Sends the packet as it is now.
    func send(to port: PortView) {
        guard port.sends else {
            report(.detail, "port \(port.port.name) is closed for packets that go out")
            drop(.outputPortClosed)
            return
        }
        if port.port.isProtected, view.byNumber[inPort]?.port.isProtected == true {
            report(.warning, "Flow is between protected ports, skipping output.")
            drop(.normalFiltered)
            return
        }
        if !isFrame {
            report(.warning, "a packet without an Ethernet header cannot be sent to port \(port.port.name)")
            drop(.outputPortClosed)
            return
        }
        if port.datapathPort == .none {
            if snapLength != 0 {
                report(.warning, "a cut copy cannot be sent to a patch port")
                return
            }
            cross(port)
            if port.destinationMirrors != 0, failure == nil { mirror(port, port.destinationMirrors) }
            return
        }
        let marked = markForQueue(of: port)
        commit()
        if snapLength != 0 { actions.append(.truncate(maxLength: UInt32(snapLength))) }
        actions.append(.output(port.datapathPort))
        if let marked { write(.ipDSCP, marked, bits: 0x3f) }
        outputCount += 1
        if actions.count > PipelineLimits.datapathActions { fail("more than \(PipelineLimits.datapathActions) datapath actions") }
        if port.destinationMirrors != 0, failure == nil { mirror(port, port.destinationMirrors) }
    }

    /// Gives an IP packet the DSCP that the port's queue wants. Returns what it had; nil if it stays as it is.
    private func markForQueue(of port: PortView) -> UInt128? {
        guard !port.port.queueMarks.isEmpty, let mark = port.port.queueMarks[load32(FlowOffset.skbPriority)] else { return nil }
        let etherType = load16(FlowOffset.etherType)
        guard etherType == Translator.etherTypeIPv4 || etherType == Translator.etherTypeIPv6, staleness == .none else { return nil }
        look(.ipDSCP, bits: 0x3f)
        let old = RawField.load(key, .ipDSCP)
        write(.ipDSCP, UInt128(mark), bits: 0x3f)
        return old
    }

    /// Goes on in the bridge at the other end of a patch port, and comes back.
    private func cross(_ port: PortView) {
        guard let peer = port.peer else {
            report(.warning, "patch port \(port.port.name) has no peer")
            drop(.outputPortClosed)
            return
        }
        if let sent = port.patchCounters?.sent, let received = peer.patchCounters?.received { crossings += [sent, received] }
        isolated {
            clearPipelineLines()
            actionSet.removeAll()
            stack.removeAll()
            inActionSet = false
            if trace != nil { trace = trace!.add(.bridge, TraceText.bridge(peer.bridge.bridge.name)) }
            // What a packet-out may do ends at the bridge it was for.
            let wasPacketOut = isPacketOut
            isPacketOut = false
            // The other bridge has mirrors of its own, and a first rule.
            let savedMirrors = (mirrored, mirrorChange)
            let savedCookie = entryCookie
            mirrored = 0
            rule = nil
            table = 0
            runPipeline(from: peer)
            isPacketOut = wasPacketOut
            (mirrored, mirrorChange) = savedMirrors
            entryCookie = savedCookie
        }
    }

    /// Sends the packet as it is now to the control plane.
    func punt(_ action: ControllerAction, cookie: UInt64, frozen: UInt32? = nil, isImplicitMiss: Bool = false) {
        if !isFrame {
            report(.warning, "a packet without an Ethernet header cannot be sent to controllers")
            drop(.outputPortClosed)
            return
        }
        commit()
        var reason = action.reason
        var isMissRule = false
        if reason == .action {
            if isPacketOut {
                reason = .packetOut
            } else if isInBucket {
                reason = .group
            } else if inActionSet {
                reason = .actionSet
            } else if isTableMissRule {
                // OpenFlow 1.3's table-miss rule.
                reason = .noMatch
                isMissRule = true
            }
        }
        var metadata: [UInt64] = []
        if PuntDescription.metadataWords.contains(where: { key.pointee.words[$0] != 0 }) {
            metadata = PuntDescription.metadataWords.map { key.pointee.words[$0] }
        }
        let token = pipeline.punts.acquire(
            PuntDescription(
                bridge: view.bridge.identifier, reason: reason, table: table, cookie: cookie, inPort: OpenFlowPort(inPort),
                controllerID: action.controllerID, maxLength: action.maxLength, userdata: action.userdata, frozen: frozen,
                isImplicitMiss: isImplicitMiss, isMissRule: isMissRule,
                packetMark: RawField.load(written, .pktMark) == 0 ? nil : load32(FlowOffset.pktMark),
                tunnelID: RawField.load(written, .tunID) == 0 ? nil : UInt64(truncatingIfNeeded: RawField.load(key, .tunID)),
                metadata: metadata))
        tokens.append(token)
        dependencies.formUnion(.group(bridge: view.bridge.identifier, group: MeterMod.controller))
        let groups = view.bridge.groupTable(at: version)
        if let meter = groups.meter(action.meter ?? MeterMod.controller) ?? groups.meter(MeterMod.controller) {
            // The meter is for this copy only.
            actions.append(.clone([.meter(meter.datapathMeter), .punt(token, maxLength: action.maxLength)]))
        } else {
            actions.append(.punt(token, maxLength: action.maxLength))
        }
        outputCount += 1
    }
}
