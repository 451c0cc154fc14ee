// Printing actions.

internal import Wire

extension FlowText {
    /// Prints actions as `ovs-ofctl` does; the empty list is `drop`.
    public static func format(_ actions: [Action], ports: PortNames = .none) -> String {
        actions.isEmpty ? "drop" : actions.map { format($0, ports: ports) }.joined(separator: ",")
    }

    /// Prints one action.
    public static func format(_ action: Action, ports: PortNames = .none) -> String {
        switch action {
        case .output(let port, let maxLength):
            if port == .controller { return "CONTROLLER:\(maxLength)" }
            return OpenFlowPort.reserved.contains { $0.port == port } ? port.text() : "output:\(port.text(names: ports))"
        case .outputField(let source, _): return "output:\(format(source))"
        case .outputTruncated(let port, let maxLength): return "output(port=\(port.text(names: ports)),max_len=\(maxLength))"
        case .controller(let controller): return format(controller)
        case .enqueue(let port, let queue): return "enqueue:\(port.text(names: ports)):\(queue)"
        case .setQueue(let queue): return "set_queue:\(queue)"
        case .popQueue: return "pop_queue"
        case .group(let group): return "group:\(group)"
        case .setField(let field, let value, let mask, let isLoad):
            return isLoad ? formatLoad(field, value, mask) : "set_field:\(formatSetValue(field, value, mask, ports: ports))->\(field.name)"
        case .move(let from, let to): return "move:\(format(from))->\(format(to))"
        case .push(let source): return "push:\(format(source))"
        case .pop(let target): return "pop:\(format(target))"
        case .setVLANID(let id, _): return "mod_vlan_vid:\(id)"
        case .setVLANPriority(let priority, _): return "mod_vlan_pcp:\(priority)"
        case .pushVLAN(let type): return "push_vlan:\(hex(type, digits: 4))"
        case .popVLAN: return "strip_vlan"
        case .pushMPLS(let type): return "push_mpls:\(hex(type, digits: 4))"
        case .popMPLS(let type): return "pop_mpls:\(hex(type, digits: 4))"
        case .setMPLSLabel(let label): return "set_mpls_label(\(label))"
        case .setMPLSTC(let trafficClass): return "set_mpls_tc(\(trafficClass))"
        case .setMPLSTTL(let ttl): return "set_mpls_ttl(\(ttl))"
        case .decrementMPLSTTL: return "dec_mpls_ttl"
        case .setEthSrc(let address): return "mod_dl_src:\(MACAddress(address))"
        case .setEthDst(let address): return "mod_dl_dst:\(MACAddress(address))"
        case .setIPv4Src(let address): return "mod_nw_src:\(IPv4Address(address))"
        case .setIPv4Dst(let address): return "mod_nw_dst:\(IPv4Address(address))"
        case .setIPDSCP(let tos): return "mod_nw_tos:\(tos)"
        case .setIPECN(let ecn): return "mod_nw_ecn:\(ecn)"
        case .setIPTTL(let ttl): return "mod_nw_ttl:\(ttl)"
        case .setL4Src(let port): return "mod_tp_src:\(port)"
        case .setL4Dst(let port): return "mod_tp_dst:\(port)"
        case .decrementTTL(let ids): return ids.isEmpty ? "dec_ttl" : "dec_ttl(\(ids.map(String.init).joined(separator: ",")))"
        case .setTunnelID(let id): return (id > 0xffff_ffff ? "set_tunnel64:" : "set_tunnel:") + hex(id)
        case .resubmit(let port, let table):
            let name = (port ?? .inPort) == .inPort ? "" : port!.text(names: ports)
            guard let table else { return "resubmit:\(name.isEmpty ? "IN_PORT" : name)" }
            return "resubmit(\(name),\(table))"
        case .note(let bytes): return "note:\(formatBytes(bytes))"
        case .exit: return "exit"
        case .debugRecirculate: return "debug_recirc"
        case .debugSlow: return "debug_slow"
        case .clone(let inner): return "clone(\(format(inner, ports: ports)))"
        case .conjunction(let id, let clause, let clauses): return "conjunction(\(id),\(clause)/\(clauses))"
        case .resubmitTracked(let port, let table):
            let name = (port ?? .inPort) == .inPort ? "" : port!.text(names: ports)
            return "resubmit(\(name),\(table.map(String.init) ?? ""),ct)"
        case .pushPBB(let type): return "push_pbb:\(hex(type, digits: 4))"
        case .popPBB: return "pop_pbb"
        case .copyTTLOut: return "copy_ttl_out"
        case .copyTTLIn: return "copy_ttl_in"
        case .multipath(let multipath): return format(multipath)
        case .bundle(let bundle): return format(bundle, ports: ports)
        case .learn(let learn): return format(learn, ports: ports)
        case .finTimeout(let idle, let hard): return formatFinTimeout(idle: idle, hard: hard)
        case .sample(let sample): return format(sample, ports: ports)
        case .checkPacketLarger(let length, let target): return "check_pkt_larger(\(length))->\(format(target))"
        case .deleteField(let field): return "delete_field:\(field.name)"
        case .encapsulate(let encapsulate): return format(encapsulate)
        case .decapsulate(let type): return formatDecapsulate(type)
        case .decrementNSHTTL: return "dec_nsh_ttl"
        case .connectionTrack(let track): return format(track, ports: ports)
        case .nat(let nat): return format(nat)
        case .clearConnectionTrack: return "ct_clear"
        case .meter(let meter): return "meter:\(meter)"
        case .clearActions: return "clear_actions"
        case .writeActions(let inner): return "write_actions(\(format(inner, ports: ports)))"
        case .writeMetadata(let value, let mask): return "write_metadata:\(hex(value))" + (mask == .max ? "" : "/\(hex(mask))")
        case .gotoTable(let table): return "goto_table:\(table)"
        }
    }

    /// `NXM_NX_REG0[]`, `NXM_NX_REG0[3]`, `NXM_NX_REG0[0..15]`.
    public static func format(_ subfield: SubField) -> String {
        var name = subfield.field.headerName
        if subfield.isNarrowPort {
            name = "NXM_OF_IN_PORT"
            if subfield.offset == 0, subfield.bits == 16 { return "\(name)[]" }
        }
        if subfield.offset == 0, subfield.bits == subfield.field.layout.bits { return "\(name)[]" }
        if subfield.bits == 1 { return "\(name)[\(subfield.offset)]" }
        return "\(name)[\(subfield.offset)..\(subfield.offset + subfield.bits - 1)]"
    }

    static func formatBytes(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ".")
    }

    private static func format(_ controller: ControllerAction) -> String {
        if controller.reason == .action, controller.controllerID == 0, controller.userdata.isEmpty, !controller.pause,
            controller.meter == nil
        {
            return "CONTROLLER:\(controller.maxLength)"
        }
        var parts: [String] = []
        if controller.reason != .action { parts.append("reason=\(controller.reason.text)") }
        if controller.maxLength != 0xffff { parts.append("max_len=\(controller.maxLength)") }
        if controller.controllerID != 0 { parts.append("id=\(controller.controllerID)") }
        if !controller.userdata.isEmpty { parts.append("userdata=\(formatBytes(controller.userdata))") }
        if controller.pause { parts.append("pause") }
        if let meter = controller.meter { parts.append("meter_id=\(meter)") }
        return "controller(\(parts.joined(separator: ",")))"
    }

    /// Flags and VLAN ids have notations of their own in matches, but are plain numbers in `set_field`.
    private static func formatSetValue(_ field: Field, _ value: UInt128, _ mask: UInt128, ports: PortNames) -> String {
        switch field {
        case .vlanVID where mask == field.layout.allOnes: String(value)
        default: formatValue(field, value, mask: mask, ports: ports)
        }
    }

    /// A contiguous mask is one `load`; others cannot be said in one and are printed as `set_field`.
    private static func formatLoad(_ field: Field, _ value: UInt128, _ mask: UInt128) -> String {
        let offset = mask.trailingZeroBitCount
        let bits = mask.nonzeroBitCount
        let ones: UInt128 = bits == 128 ? .max : (1 << UInt128(bits)) - 1
        let isContiguous = mask != 0 && mask >> UInt128(offset) == ones
        guard isContiguous else { return "set_field:\(formatValue(field, value, mask: mask))->\(field.name)" }
        return "load:\(hex(value >> UInt128(offset)))->\(format(SubField(field: field, offset: offset, bits: bits)))"
    }
}
