// Action lists to the wire.
//
// The same flow must read back in any version, whichever it was written in, so an action that a version lacks is written as
// the nearest that it has: `set_field` of an IPv4 address as 1.0's own set-nw-src, 1.0's set-nw-src as set-field from 1.2
// on, whatever is left as Nicira's load. What a version cannot express at all (1.0: the action set) is left out.

internal import Flow

/// Writes actions for one version. `match` is the flow's, for what depends on it (which protocol's ports).
struct ActionEncoder {
    let version: OpenFlowVersion
    var match: CompactMatch? = nil

    var dialect: MatchDialect { version <= .v1_1 ? .nxm : .oxm(version) }

    func encode(_ actions: [Action], to writer: inout ByteWriter) {
        for action in actions { encode(action, to: &writer) }
    }

    func encode(_ action: Action, to writer: inout ByteWriter) {
        switch action {
        case .output(let port, let maxLength): output(port, maxLength, &writer)
        case .outputField(let source, let maxLength): outputField(source, maxLength, &writer)
        case .outputTruncated(let port, let maxLength):
            nicira(NiciraAction.outputTruncated, &writer) {
                $0.u16(port.wire16)
                $0.u32(maxLength)
            }
        case .controller(let controller): encodeController(controller, &writer)
        case .enqueue(let port, let queue): enqueue(port, queue, &writer)
        case .setQueue(let queue):
            if version == .v1_0 {
                nicira(NiciraAction.setQueue, &writer) {
                    $0.u16(0)
                    $0.u32(queue)
                }
            } else {
                standard(ActionType.setQueue, &writer) { $0.u32(queue) }
            }
        case .popQueue: nicira(NiciraAction.popQueue, &writer) { $0.zeros(6) }
        case .group(let group):
            if version == .v1_0 {
                nicira(NiciraAction.group, &writer) {
                    $0.u16(0)
                    $0.u32(group)
                }
            } else {
                standard(ActionType.group, &writer) { $0.u32(group) }
            }
        case .setField(let field, let value, let mask, let isLoad): setField(field, value, mask, isLoad: isLoad, &writer)
        case .move(let source, let destination): move(source, destination, &writer)
        case .push(let field): stack(NiciraAction.push, field, &writer)
        case .pop(let field): stack(NiciraAction.pop, field, &writer)
        case .setVLANID, .setVLANPriority, .pushVLAN, .popVLAN: encodeVLAN(action, &writer)
        case .pushMPLS, .popMPLS, .setMPLSLabel, .setMPLSTC, .setMPLSTTL, .decrementMPLSTTL: encodeMPLS(action, &writer)
        case .setEthSrc, .setEthDst, .setIPv4Src, .setIPv4Dst, .setIPDSCP, .setIPECN, .setIPTTL, .setL4Src, .setL4Dst, .setTunnelID:
            encodeHeaderWrite(action, &writer)
        case .decrementTTL(let ids):
            if !ids.isEmpty, ids != [0] {
                nicira(NiciraAction.decrementTTLControllers, &writer) {
                    $0.u16(UInt16(ids.count))
                    $0.zeros(4)
                    for id in ids { $0.u16(id) }
                }
            } else if version == .v1_0 {
                nicira(NiciraAction.decrementTTL, &writer) { $0.zeros(6) }
            } else {
                standard(ActionType.decrementTTL, &writer) { $0.zeros(4) }
            }
        case .resubmit(let port, let table): resubmit(port, table, &writer)
        case .note(let bytes): nicira(NiciraAction.note, &writer) { $0.raw(bytes) }
        case .exit: nicira(NiciraAction.exit, &writer) { $0.zeros(6) }
        case .debugRecirculate: nicira(NiciraAction.debugRecirculate, &writer) { $0.zeros(6) }
        case .debugSlow: nicira(NiciraAction.debugSlow, &writer) { $0.zeros(6) }
        case .clone(let actions):
            nicira(NiciraAction.clone, &writer) {
                $0.zeros(6)
                encode(actions, to: &$0)
            }
        case .conjunction(let id, let clause, let clauses):
            nicira(NiciraAction.conjunction, &writer) {
                $0.u8(clause - 1)
                $0.u8(clauses)
                $0.u32(id)
            }
        case .meter(let meter):
            if version >= .v1_5 { standard(ActionType.meter, &writer) { $0.u32(meter) } }
        case .writeMetadata(let value, let mask):
            if version == .v1_0 {
                nicira(NiciraAction.writeMetadata, &writer) {
                    $0.zeros(6)
                    $0.u64(value)
                    $0.u64(mask)
                }
            }
        case .gotoTable(let table):
            if version == .v1_0 { resubmit(nil, table, &writer) }
        case .clearActions, .writeActions: break
        default: encodeExtension(action, to: &writer)
        }
    }

    // MARK: Framing

    func standard(_ type: UInt16, _ writer: inout ByteWriter, _ body: (inout ByteWriter) -> Void) {
        writer.property(type, countsPadding: true, body)
    }

    func nicira(_ subtype: UInt16, _ writer: inout ByteWriter, _ body: (inout ByteWriter) -> Void) {
        writer.property(ActionType.experimenter, countsPadding: true) {
            $0.u32(Experimenter.nicira)
            $0.u16(subtype)
            body(&$0)
        }
    }

    // MARK: Output

    private func output(_ port: OpenFlowPort, _ maxLength: UInt16, _ writer: inout ByteWriter) {
        standard(ActionType.output, &writer) {
            if version == .v1_0 {
                $0.u16(port.wire16)
                $0.u16(maxLength)
            } else {
                $0.u32(port.rawValue)
                $0.u16(maxLength)
                $0.zeros(6)
            }
        }
    }

    /// The header for a part of a field.
    private func wire(of part: SubField) -> WireField? { FieldCatalog.header(of: part.field, part.isNarrowPort ? .nxm : dialect) }

    private func outputField(_ source: SubField, _ maxLength: UInt16, _ writer: inout ByteWriter) {
        guard let wire = wire(of: source) else { return }
        let place = UInt16(source.offset) << 6 | UInt16(source.bits - 1)
        if wire.experimenter == 0 {
            nicira(NiciraAction.outputField, &writer) {
                $0.u16(place)
                $0.u32(wire.header(hasMask: false))
                $0.u16(maxLength)
                $0.zeros(6)
            }
        } else {
            nicira(NiciraAction.outputField2, &writer) {
                $0.u16(place)
                $0.u16(maxLength)
                OXMCodec.encodeHeader(wire, hasMask: false, to: &$0)
            }
        }
    }

    private func encodeController(_ controller: ControllerAction, _ writer: inout ByteWriter) {
        if controller.userdata.isEmpty, !controller.pause, controller.meter == nil {
            nicira(NiciraAction.controller, &writer) {
                $0.u16(controller.maxLength)
                $0.u16(controller.controllerID)
                $0.u8(controller.reason.rawValue)
                $0.u8(0)
            }
            return
        }
        nicira(NiciraAction.controller2, &writer) {
            $0.zeros(6)
            if controller.maxLength != 0xffff { $0.property(ControllerProperty.maxLength) { $0.u16(controller.maxLength) } }
            if controller.controllerID != 0 { $0.property(ControllerProperty.controllerID) { $0.u16(controller.controllerID) } }
            if controller.reason != .action { $0.property(ControllerProperty.reason) { $0.u8(controller.reason.rawValue) } }
            if !controller.userdata.isEmpty { $0.property(ControllerProperty.userdata) { $0.raw(controller.userdata) } }
            if controller.pause { $0.property(ControllerProperty.pause) { _ in } }
            if let meter = controller.meter { $0.property(ControllerProperty.meter) { $0.u32(meter) } }
        }
    }

    private func enqueue(_ port: OpenFlowPort, _ queue: UInt32, _ writer: inout ByteWriter) {
        if version == .v1_0 {
            standard(ActionType10.enqueue, &writer) {
                $0.u16(port.wire16)
                $0.zeros(6)
                $0.u32(queue)
            }
        } else {
            encode(.setQueue(queue), to: &writer)
            encode(.output(port, maxLength: 0), to: &writer)
            encode(.popQueue, to: &writer)
        }
    }

    private func resubmit(_ port: OpenFlowPort?, _ table: UInt8?, _ writer: inout ByteWriter) {
        nicira(table == nil ? NiciraAction.resubmit : NiciraAction.resubmitTable, &writer) {
            $0.u16((port ?? .inPort).wire16)
            $0.u8(table ?? 0)
            $0.zeros(3)
        }
    }

    // MARK: Fields

    private func stack(_ subtype: UInt16, _ field: SubField, _ writer: inout ByteWriter) {
        guard let wire = wire(of: field) else { return }
        nicira(subtype, &writer) {
            $0.u16(UInt16(field.offset))
            OXMCodec.encodeHeader(wire, hasMask: false, to: &$0)
            $0.u16(UInt16(field.bits))
            // The fixed form is 24 bytes long.
            if wire.experimenter == 0 { $0.zeros(6) }
        }
    }

    private func move(_ source: SubField, _ destination: SubField, _ writer: inout ByteWriter) {
        guard let from = wire(of: source), let to = wire(of: destination) else { return }
        func body(_ writer: inout ByteWriter) {
            writer.u16(UInt16(source.bits))
            writer.u16(UInt16(source.offset))
            writer.u16(UInt16(destination.offset))
            if version >= .v1_5 { writer.u16(0) }
            OXMCodec.encodeHeader(from, hasMask: false, to: &writer)
            OXMCodec.encodeHeader(to, hasMask: false, to: &writer)
        }
        if version >= .v1_5 { standard(ActionType.copyField, &writer, body) } else { nicira(NiciraAction.move, &writer, body) }
    }

    func setField(_ field: Field, _ value: UInt128, _ mask: UInt128, isLoad: Bool, _ writer: inout ByteWriter) {
        let isWhole = mask == field.layout.allOnes
        if version >= .v1_5 || (version >= .v1_2 && isWhole && !isLoad) {
            // The standard knows no TCI; loads keep saying so until 1.5 has masks to express them.
            let known = FieldCatalog.header(of: field, dialect)
            if let known, known.field == field {
                standard(ActionType.setField, &writer) {
                    OXMCodec.encodeField(field, value: value, mask: isWhole ? nil : mask, dialect, to: &$0)
                }
                return
            }
        }
        if version <= .v1_1, !isLoad, isWhole, legacySetField(field, value, &writer) { return }
        load(field, value, mask, isLoad: isLoad, &writer)
    }

    /// Nicira's load: one for each run of up to 64 mask bits; the masked form where the runs are many.
    private func load(_ field: Field, _ value: UInt128, _ mask: UInt128, isLoad: Bool, _ writer: inout ByteWriter) {
        guard let wire = FieldCatalog.header(of: field, dialect) else { return }
        // NXM's in_port has 16 bits, and is not taken in the masked form.
        let isPort16 = field == .inPort && wire.byteCount == 2
        // ARP's opcode has 16 bits here, and is written whole.
        let wide: UInt128 = field == .arpOp && mask == 0xff ? 0xffff : mask
        let runs = ActionEncoder.runs(of: isPort16 ? mask & 0xffff : wide)
        let needsMaskedForm = !isLoad && !isPort16 && (version >= .v1_2 || runs.count > 1)
        if field == .inPort && !isPort16 || wire.experimenter != 0 || runs.isEmpty || needsMaskedForm {
            nicira(NiciraAction.load2, &writer) {
                OXMCodec.encodeField(field, value: value, mask: mask == field.layout.allOnes ? nil : mask, dialect, to: &$0)
            }
            return
        }
        for run in runs {
            let bits: UInt128 = (1 << UInt128(run.bits)) - 1
            nicira(NiciraAction.load, &writer) {
                $0.u16(UInt16(run.offset) << 6 | UInt16(run.bits - 1))
                $0.u32(wire.header(hasMask: false))
                $0.u64(UInt64(value >> UInt128(run.offset) & bits))
            }
        }
    }

    /// Runs of ones, at most 64 bits each, highest first (as a load of a wide field is written).
    static func runs(of mask: UInt128) -> [(offset: Int, bits: Int)] {
        var result: [(offset: Int, bits: Int)] = []
        var offset = 0
        while offset < 128 {
            if mask >> UInt128(offset) & 1 == 0 {
                offset += 1
                continue
            }
            var bits = 1
            while bits < 64, offset + bits < 128, mask >> UInt128(offset + bits) & 1 == 1 { bits += 1 }
            result.append((offset, bits))
            offset += bits
        }
        return result
    }
}
