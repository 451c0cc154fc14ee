import Flow
import TestSupport
import Testing

@Suite struct FlowTextTests {
    /// What the field's own tool prints for the same words.
    @Test(arguments: [
        ("tcp", "tcp"), ("udp,tp_src=0/0x8000", "udp,tp_src=0x0/0x8000"), ("icmp,icmp_type=8", "icmp,icmp_type=8"),
        ("icmp6,icmp_type=135,nd_target=fe80::1", "icmp6,icmp_type=135,nd_target=fe80::1"),
        ("tcp6,tp_dst=80,ipv6_src=fe80::/64", "tcp6,ipv6_src=fe80::/64,tp_dst=80"),
        ("arp,arp_op=1,arp_spa=1.2.3.4,arp_tpa=1.2.3.0/24", "arp,arp_spa=1.2.3.4,arp_tpa=1.2.3.0/24,arp_op=1"),
        ("vlan_tci=0x1000/0x1fff", "dl_vlan=0"), ("dl_vlan=5,dl_vlan_pcp=3", "dl_vlan=5,dl_vlan_pcp=3"), ("vlan_vid=0x1005", "dl_vlan=5"),
        ("dl_vlan_pcp=3,dl_vlan=5", "dl_vlan=5,dl_vlan_pcp=3"), ("vlan_tci=0", "vlan_tci=0x0000"), ("dl_vlan=0xffff", "vlan_tci=0x0000"),
        ("vlan_vid=0x1000/0x1000", "vlan_tci=0x1000/0x1000"), ("vlan_tci=0x0123/0x0fff", "vlan_tci=0x0123/0x0fff"),
        ("dl_type=0x1234", "dl_type=0x1234"),
        ("in_port=LOCAL,dl_src=00:11:22:33:44:55/ff:ff:ff:00:00:00", "in_port=LOCAL,dl_src=00:11:22:00:00:00/ff:ff:ff:00:00:00"),
        ("tcp,tcp_flags=+syn-ack", "tcp,tcp_flags=+syn-ack"), ("tcp,tcp_flags=2/2", "tcp,tcp_flags=+syn"),
        ("tcp,tcp_flags=0x012/0xfff", "tcp,tcp_flags=syn|ack"), ("tcp,tcp_flags=0", "tcp,tcp_flags=0"),
        ("ip,nw_frag=later", "ip,nw_frag=later"),
        ("ip,ip_frag=no", "ip,nw_frag=no"), ("ip,nw_frag=yes", "ip,nw_frag=yes"), ("ip,nw_frag=not_later", "ip,nw_frag=not_later"),
        ("ip,nw_tos=0xfc,nw_ttl=3,nw_ecn=1", "ip,nw_tos=252,nw_ecn=1,nw_ttl=3"), ("ip,ip_dscp=4", "ip,nw_tos=16"),
        ("reg0=5,reg1=0x10/0xff,metadata=0x123/0xfff,xreg0=7", "reg0=0,reg1=0x7,metadata=0x123/0xfff"),
        ("mpls,mpls_label=3,mpls_tc=2,mpls_bos=1", "mpls,mpls_label=3,mpls_tc=2,mpls_bos=1"),
        ("tun_id=0x5,tun_src=1.1.1.1,tun_dst=2.2.0.0/16", "tun_id=0x5,tun_src=1.1.1.1,tun_dst=2.2.0.0/16"),
        ("ct_state=+trk+est,ct_zone=5,ct_mark=4/4,ct_label=0x1/0xff", "ct_state=+est+trk,ct_zone=5,ct_mark=0x4/0x4,ct_label=0x1/0xff"),
        ("xxreg0=0x123", "reg0=0,reg1=0,reg2=0,reg3=0x123"), ("ip,nw_proto=6,tp_src=3", "tcp,tp_src=3"),
        ("arp,nw_src=1.2.3.4", "arp,arp_spa=1.2.3.4"),
        ("pkt_mark=3,conj_id=4,recirc_id=5,dp_hash=6", "pkt_mark=0x3,recirc_id=0x5,dp_hash=0x6,conj_id=4"),
        ("ipv6,ipv6_label=0x5/0xff", "ipv6,ipv6_label=0x00005/0x000ff"), ("ip,nw_src=1.2.3.4/255.0.255.0", "ip,nw_src=1.0.3.0/255.0.255.0"),
        ("ipv6,ipv6_dst=::1/::ff", "ipv6,ipv6_dst=::1/::ff"), ("in_port=65534", "in_port=LOCAL"), ("in_port=any", "in_port=ANY"),
        ("packet_type=(1,0x800)", "packet_type=(1,0x800)"), ("dl_src=*", ""), ("", ""), (" tcp , tp_dst=80 ", "tcp,tp_dst=80"),
        ("icmp6,icmpv6_type=136,nd_tll=00:11:22:33:44:55", "icmp6,icmp_type=136,nd_tll=00:11:22:33:44:55"),
    ])
    func matches(_ text: String, _ printed: String) throws {
        let match = try FlowText.parseMatch(text)
        #expect(FlowText.format(match) == printed)
        #expect(try FlowText.parseMatch(printed) == match)
    }

    @Test(arguments: [
        ("output:2", "output:2"), ("2", "output:2"), ("normal", "NORMAL"), ("drop", "drop"), ("", "drop"), ("output:in_port", "IN_PORT"),
        ("output:reg0[0..15]", "output:NXM_NX_REG0[0..15]"), ("output(port=2,max_len=100)", "output(port=2,max_len=100)"),
        ("mod_dl_src:00:11:22:33:44:55,mod_dl_dst:1:2:3:4:5:6", "mod_dl_src:00:11:22:33:44:55,mod_dl_dst:01:02:03:04:05:06"),
        ("mod_nw_src:1.2.3.4,mod_nw_tos:16,mod_tp_src:80", "mod_nw_src:1.2.3.4,mod_nw_tos:16,mod_tp_src:80"),
        ("mod_vlan_vid:5,mod_vlan_pcp:3,strip_vlan,pop_vlan", "mod_vlan_vid:5,mod_vlan_pcp:3,strip_vlan,strip_vlan"),
        ("push_vlan:0x8100,set_field:5->vlan_vid", "push_vlan:0x8100,set_field:4101->vlan_vid"),
        ("set_field:1.2.3.4->nw_dst", "set_field:1.2.3.4->ip_dst"), ("set_field:5->reg0", "set_field:0x5->reg0"),
        ("set_field:0x5/0x5->reg0", "set_field:0x5/0x5->reg0"), ("set_field:0x50/0xff->tcp_dst", "set_field:80/0xff->tcp_dst"),
        ("set_field:::1->ipv6_dst", "set_field:::1->ipv6_dst"), ("load:5->reg0[0..15]", "load:0x5->NXM_NX_REG0[0..15]"),
        ("load:1->NXM_OF_VLAN_TCI[0..11]", "load:0x1->NXM_OF_VLAN_TCI[0..11]"), ("load:1->reg0[3]", "load:0x1->NXM_NX_REG0[3]"),
        ("load:5->metadata", "load:0x5->OXM_OF_METADATA[]"), ("load:0->xreg0", "load:0->OXM_OF_PKT_REG0[]"),
        ("move:nw_ttl->reg0[0..7]", "move:NXM_NX_IP_TTL[]->NXM_NX_REG0[0..7]"), ("resubmit(,1)", "resubmit(,1)"),
        ("resubmit:5", "resubmit:5"),
        ("resubmit(in_port,2)", "resubmit(,2)"), ("resubmit(LOCAL,2)", "resubmit(LOCAL,2)"), ("goto_table:5", "goto_table:5"),
        ("controller", "CONTROLLER:65535"), ("CONTROLLER:128", "CONTROLLER:128"), ("output:controller", "CONTROLLER:65535"),
        ("controller(reason=no_match,max_len=100,id=5)", "controller(reason=no_match,max_len=100,id=5)"),
        ("controller(userdata=01.02.03,pause)", "controller(userdata=01.02.03,pause)"),
        ("write_metadata:0x5/0xff", "write_metadata:0x5/0xff"),
        ("clear_actions,write_actions(output:2,pop_queue)", "clear_actions,write_actions(output:2,pop_queue)"),
        ("meter:5,exit", "meter:5,exit"),
        ("note:01.02.03", "note:01.02.03"), ("group:5", "group:5"), ("enqueue(2,3)", "enqueue:2:3"), ("set_queue:0xff", "set_queue:255"),
        ("dec_ttl", "dec_ttl"), ("dec_ttl(1,2)", "dec_ttl(1,2)"),
        ("push_mpls:0x8847,set_field:5->mpls_label", "push_mpls:0x8847,set_field:5->mpls_label"),
        ("set_mpls_label:5,set_mpls_tc:3,set_mpls_ttl:4", "set_mpls_label(5),set_mpls_tc(3),set_mpls_ttl(4)"),
        ("conjunction(1, 2/3)", "conjunction(1,2/3)"),
        ("clone(output:2,clone(drop))", "clone(output:2,clone(drop))"),
        ("push:reg0,pop:reg0[0..7]", "push:NXM_NX_REG0[],pop:NXM_NX_REG0[0..7]"),
        ("set_tunnel:5", "set_tunnel:0x5"), ("set_tunnel:0x500000000", "set_tunnel64:0x500000000"),
        ("set_field:LOCAL->in_port", "set_field:LOCAL->in_port"),
    ])
    func actions(_ text: String, _ printed: String) throws {
        let actions = try FlowText.parseActions(text)
        #expect(FlowText.format(actions) == printed)
        #expect(try FlowText.parseActions(printed) == actions)
    }

    @Test(arguments: [
        ("bogus=3", "\"bogus\""), ("nw_scr=1.2.3.4,ip", "did you mean \"nw_src\""), ("tcp,tcp_dst=99999", "65535"),
        ("ip,nw_dst=1.2.3", "1.2.3"),
        ("dl_src=zz", "Ethernet address"), ("in_port=foo", "no port \"foo\""), ("ipv6,nw_src=10.0.0.0/8", "ipv6_src"),
        ("nw_dst=10.0.0.1", "ip"),
        ("tp_dst=80", "add tcp"), ("tcp,udp", "protocol"), ("ip,arp", "EtherType"), ("tcp,tcp_flags=+foo", "foo"),
        ("tcp,tcp_flags=+syn+syn", "twice"),
        ("ip,nw_proto=6/3", "no mask"), ("tcp(", "missing"), ("tcp)", "without"), ("tcp_dst", "needs a value"), ("tcp=5", "stands alone"),
        ("ip,nw_src=1.2.3.4/33", "0 to 32"), ("nd_target=::1", "icmp6"), ("metadata=0x10000000000000000", "64 bits"),
        ("ip,nw_frag=some", "not_later"),
        ("reg0=-1", "not a number"), ("reg0=", "needs a value"), ("nw_proto=6", "add ip"),
    ])
    func badMatches(_ text: String, _ part: String) throws {
        let error = try #require(throws: FlowTextError.self) { try FlowText.parseMatch(text) }
        #expect(error.message.contains(part), "\(error)")
    }

    @Test(arguments: [
        ("bogus", "no action \"bogus\""), ("outptu:2", "did you mean \"output\""), ("output:foo", "foo"), ("ct(force)", "commit"),
        ("all,drop", "drop"),
        ("load:5", "->"), ("load:0x10000->reg0[0..15]", "16 bits"), ("set_field:5->bog", "bog"),
        ("set_field:1->tcp_flags", "cannot be written"),
        ("mod_nw_tos:3", "ECN"), ("mod_vlan_vid:5000", "4095"), ("resubmit()", "resubmit"), ("goto_table:255", "254"),
        ("move:reg0->xreg0", "equally wide"),
        ("load:1->reg0[30..40]", "0 to 31"), ("conjunction(1,3/2)", "clause 3"),
        ("clone(clone(clone(clone(clone(clone(clone(clone(2))))))))", "nested"),
        ("push_vlan:0x1234", "0x8100"), ("note:0g", "hexadecimal"), ("exit:3", "no argument"), ("controller(bogus=1)", "bogus"),
        ("output(port=2)", "max_len"),
    ])
    func badActions(_ text: String, _ part: String) throws {
        let error = try #require(throws: FlowTextError.self) { try FlowText.parseActions(text) }
        #expect(error.message.contains(part), "\(error)")
    }

    @Test func flows() throws {
        let spec = try FlowText.parseFlow(
            "table=3, priority=10 cookie=0x1f,idle_timeout=5,hard_timeout=6,importance=4,send_flow_rem,check_overlap,tcp,nw_dst=10.0.0.1,actions=output:2,LOCAL"
        )
        #expect(spec.table == 3 && spec.priority == 10 && spec.cookie == 0x1f && spec.idleTimeout == 5 && spec.hardTimeout == 6)
        #expect(spec.flags == [.sendFlowRemoved, .checkOverlap])
        #expect(spec.actions?.count == 2)
        let text = FlowText.format(spec)
        #expect(
            text
                == "table=3,cookie=0x1f,idle_timeout=5,hard_timeout=6,importance=4,send_flow_rem,check_overlap,priority=10,tcp,nw_dst=10.0.0.1,actions=output:2,LOCAL"
        )
        #expect(try FlowText.parseFlow(text) == spec)
        let deletion = try FlowText.parseFlow("cookie=1/-1,out_port=3,ip", for: .delete)
        #expect(deletion.cookieMask == .max && deletion.outPort == OpenFlowPort(3) && deletion.actions == nil)
        for (bad, part) in [
            ("ip", "has no actions"), ("table=300,actions=drop", "300"), ("priority=70000,actions=drop", "65535"),
            ("out_port=2,actions=drop", "new flow"),
            ("cookie=1/1,actions=drop", "no mask"), ("idel_timeout=5,actions=drop", "idle_timeout"),
        ] {
            let error = try #require(throws: FlowTextError.self) { try FlowText.parseFlow(bad) }
            #expect(error.message.contains(part), "\(error)")
        }
    }

    @Test func dumpLine() throws {
        var flow = FlowDescription()
        flow.durationNanoseconds = 1_234_000_000
        flow.idleTimeout = 10
        flow.priority = 10
        flow.match = try FlowText.parseMatch("udp,in_port=1,tp_src=0/0x8000")
        flow.actions = try FlowText.parseActions("2")
        #expect(
            FlowText.format(flow)
                == " cookie=0x0, duration=1.234s, table=0, n_packets=0, n_bytes=0, idle_timeout=10, priority=10,udp,in_port=1,tp_src=0x0/0x8000 actions=output:2"
        )
        flow.flags = .resetCounts
        flow.idleTimeout = 0
        flow.idleAge = 2
        flow.priority = 32768
        flow.match = Match()
        #expect(
            FlowText.format(flow)
                == " cookie=0x0, duration=1.234s, table=0, n_packets=0, n_bytes=0, reset_counts idle_age=2, actions=output:2")
    }

    @Test func portNames() throws {
        let ports = PortNames(["eth0": OpenFlowPort(1), "vm 2": OpenFlowPort(2)])
        let match = try FlowText.parseMatch("in_port=eth0", ports: ports)
        #expect(FlowText.format(match, ports: ports) == "in_port=eth0")
        #expect(FlowText.format(match) == "in_port=1")
        #expect(
            FlowText.format(try FlowText.parseActions("eth0,output:\"vm 2\"", ports: ports), ports: ports) == "output:eth0,output:\"vm 2\"")
    }

    @Test func randomMatchesSurviveTheRoundTrip() throws {
        var random = SeededRandom()
        let bases = [
            "", "ip", "tcp", "udp", "sctp", "icmp", "ipv6", "tcp6", "udp6", "icmp6", "icmp6,icmp_type=135", "icmp6,icmp_type=136", "arp",
            "mpls",
        ]
        for _ in 0..<3000 {
            var match = try FlowText.parseMatch(bases.randomElement(using: &random)!)
            for _ in 0..<Int.random(in: 0...5, using: &random) {
                let field = Field.allCases.randomElement(using: &random)!
                guard match.meetsPrerequisites(of: field), match.get(field).mask == 0 else { continue }
                switch field {
                case .datapathInPort, .ipFrag, .packetType, .nshFlags, .pbbISID, .pbbUCA: continue
                case .icmpv6Type, .icmpv6Code, .nwTOS, .vlanVID, .vlanVID12, .vlanPCP, .vlanTCI, .ethType, .nwProto, .arpOp, .inPort,
                    .actsetOutput:
                    continue
                default: break
                }
                let value = UInt128.random(in: 0...field.layout.allOnes, using: &random)
                let mask =
                    field.info.isMaskable && Bool.random(using: &random)
                    ? UInt128.random(in: 0...field.layout.allOnes, using: &random) : field.layout.allOnes
                match.set(field, value, mask: mask)
            }
            let text = FlowText.format(match)
            #expect(try FlowText.parseMatch(text) == match, "\(text), seed \(random.seed)")
        }
    }

    @Test func namesAreUniqueAndFound() {
        for field in Field.allCases {
            if let name = field.nxmName { #expect(Field.named(name) == field, "\(name)") }
            if let name = field.oxmName { #expect(Field.named(name) == field, "\(name)") }
            if let number = field.info.nxm { #expect(Field.numbered(number) == field) }
            if let number = field.info.oxm { #expect(Field.numbered(number) == field) }
        }
        #expect(Field.inPort.byteCount(under: .nxmOF(0)) == 2)
        #expect(Field.inPort.byteCount(under: .oxm(0)) == 4)
        #expect(Field.mplsLabel.byteCount(under: .oxm(34)) == 4)
        #expect(Field.mplsTC.byteCount(under: .oxm(35)) == 1)
    }
}

@Suite struct PacketTextTests {
    @Test func printsWhatTracesPrint() throws {
        let key = try FlowText.parsePacket("in_port=1,tcp,nw_dst=10.0.0.1")
        #expect(
            FlowText.format(packet: key)
                == "tcp,in_port=1,vlan_tci=0x0000,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,nw_src=0.0.0.0,nw_dst=10.0.0.1,nw_tos=0,nw_ecn=0,nw_ttl=0,nw_frag=no,tp_src=0,tp_dst=0,tcp_flags=0"
        )
        #expect(throws: FlowTextError.self) { try FlowText.parsePacket("ip,nw_dst=10.0.0.0/8") }
    }

    @Test(arguments: [
        "tcp,dl_src=00:11:22:33:44:55,nw_src=1.2.3.4,nw_dst=10.0.0.1,nw_ttl=64,tp_src=5,tp_dst=80,tcp_flags=syn",
        "udp,nw_src=1.2.3.4,tp_dst=53,dl_vlan=5,dl_vlan_pcp=3",
        "sctp,nw_ttl=3,tp_src=9", "icmp,icmp_type=8,icmp_code=0", "ip,nw_frag=later,nw_proto=17,nw_ttl=3", "udp,nw_frag=first,tp_dst=5",
        "tcp6,ipv6_src=fe80::1,ipv6_dst=::1,ipv6_label=0x12345,tp_dst=443,nw_tos=16",
        "icmp6,icmp_type=135,nd_target=fe80::2,nd_sll=00:00:00:00:00:09",
        "icmp6,icmp_type=128", "ipv6,nw_frag=later,nw_proto=44", "arp,arp_op=1,arp_spa=1.1.1.1,arp_tpa=2.2.2.2,arp_sha=00:00:00:00:00:01",
        "mpls,mpls_label=5,mpls_bos=1",
        "dl_type=0x88b5,dl_dst=ff:ff:ff:ff:ff:ff", "dl_type=0x05ff", "nsh,nsh_mdtype=1,nsh_spi=5,nsh_c1=7", "ip,nw_proto=47",
    ])
    func composedPacketsReadBack(_ text: String) throws {
        var key = try FlowText.parsePacket(text)
        let packet = key.compose()
        #expect(packet.count >= 60)
        key[.inPort] = 0
        var read = FlowKey(packet: packet, inPort: 0)
        // Not part of a description: extension headers and options seen, the routing of the DSCP bits.
        read[.ipv6ExtensionHeaders] = 0
        read[.ndOptionsType] = 0
        #expect(FlowText.format(packet: read) == FlowText.format(packet: key))
        #expect(read == key, "\(text)")
        #expect(checksumsAreValid(packet), "\(text)")
    }
}

@Suite struct RandomActionTests {
    var random = SeededRandom()

    mutating func number<Number: FixedWidthInteger>(_ range: ClosedRange<Number>) -> Number { Number.random(in: range, using: &random) }

    mutating func subfield(writable: Bool) -> SubField {
        let field = Field.allCases.filter { !writable || $0.info.isWritable }.randomElement(using: &random)!
        let bits = number(1...field.layout.bits)
        return SubField(field: field, offset: number(0...field.layout.bits - bits), bits: bits)
    }

    mutating func port() -> OpenFlowPort {
        number(0...3) == 0
            ? [.inPort, .normal, .flood, .all, .local, .table].randomElement(using: &random)! : OpenFlowPort(number(1...0xfeff))
    }

    mutating func action(depth: Int) -> Action {
        switch number(0...30) {
        case 0: return .output(port(), maxLength: 0)
        case 1: return .outputField(subfield(writable: false), maxLength: 0xffff)
        case 2: return .outputTruncated(port(), maxLength: number(14...UInt32.max))
        case 3:
            return .controller(
                ControllerAction(
                    maxLength: number(0...UInt16.max), controllerID: number(0...1), reason: number(0...1) == 0 ? .action : .invalidTTL,
                    userdata: (0..<number(0...3)).map { UInt8($0) }, pause: Bool.random(using: &random), meter: number(0...1) == 0 ? nil : 5
                ))
        case 4: return .enqueue(OpenFlowPort(3), queue: number(0...UInt32.max))
        case 5: return .setQueue(number(0...UInt32.max))
        case 6: return .group(number(0...0xffff_ff00))
        case 7, 8:
            let target = subfield(writable: true)
            let ones: UInt128 = target.bits == 128 ? .max : (1 << UInt128(target.bits)) - 1
            return .setField(
                target.field, value: number(0...ones) << UInt128(target.offset), mask: ones << UInt128(target.offset), isLoad: true)
        case 9, 10, 11:
            let field = subfield(writable: true).field
            let ones = field.layout.allOnes
            let mask = field.info.isMaskable && Bool.random(using: &random) ? number(1...ones) : ones
            var value = number(0...ones) & mask
            if field == .vlanVID { value |= 0x1000 & mask }
            if field == .nwTOS { value &= 0xfc }
            return .setField(field, value: value, mask: mask, isLoad: false)
        case 12:
            var from = subfield(writable: false)
            var to = subfield(writable: true)
            let bits = min(from.bits, to.bits)
            from.bits = bits
            to.bits = bits
            return .move(from: from, to: to)
        case 13: return .push(subfield(writable: false))
        case 14: return .pop(subfield(writable: true))
        case 15: return .setVLANID(number(0...4095), pushIfNeeded: true)
        case 16: return .pushVLAN(etherType: Bool.random(using: &random) ? 0x8100 : 0x88a8)
        case 17: return .popMPLS(etherType: number(0...UInt16.max))
        case 18: return .setMPLSLabel(number(0...0xfffff))
        case 19: return .setEthSrc(number(0...0xffff_ffff_ffff))
        case 20: return .setIPv4Dst(number(0...UInt32.max))
        case 21: return .setIPDSCP(number(0...63) << 2)
        case 22: return .setL4Dst(number(0...UInt16.max))
        case 23: return .decrementTTL(controllerIDs: (0..<number(0...2)).map { UInt16($0) })
        case 24: return .setTunnelID(number(0...UInt64.max))
        case 25: return .resubmit(port: Bool.random(using: &random) ? nil : OpenFlowPort(number(1...100)), table: number(0...254))
        case 26: return .note((0..<number(0...8)).map { UInt8($0) })
        case 27: return .conjunction(id: number(0...UInt32.max), clause: 1, clauses: number(2...64))
        case 28: return .writeMetadata(value: 5, mask: number(5...UInt64.max) | 5)
        case 29 where depth < 4: return .clone((0..<number(0...3)).map { _ in action(depth: depth + 1) })
        case 30 where depth < 4: return .writeActions((0..<number(0...3)).map { _ in action(depth: depth + 1) })
        default:
            return [.exit, .popVLAN, .popQueue, .clearActions, .decrementMPLSTTL, .gotoTable(7), .meter(9)].randomElement(using: &random)!
        }
    }

    @Test mutating func surviveTheRoundTrip() throws {
        for _ in 0..<3000 {
            let actions = (0..<number(1...4)).map { _ in action(depth: 0) }
            let text = FlowText.format(actions)
            #expect(try FlowText.parseActions(text) == actions, "\(text), seed \(random.seed)")
        }
    }
}
