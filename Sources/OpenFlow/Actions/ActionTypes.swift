// Numbers of actions and instructions.

/// `OFPAT_*` of OpenFlow 1.0.
enum ActionType10 {
    static let output: UInt16 = 0
    static let setVLANID: UInt16 = 1
    static let setVLANPriority: UInt16 = 2
    static let stripVLAN: UInt16 = 3
    static let setEthSrc: UInt16 = 4
    static let setEthDst: UInt16 = 5
    static let setIPv4Src: UInt16 = 6
    static let setIPv4Dst: UInt16 = 7
    static let setTOS: UInt16 = 8
    static let setL4Src: UInt16 = 9
    static let setL4Dst: UInt16 = 10
    static let enqueue: UInt16 = 11
    static let experimenter: UInt16 = 0xffff
}

/// `OFPAT_*` of OpenFlow 1.1 and later. 1.2 dropped 1 to 10, 13 and 14 in favour of set-field.
enum ActionType {
    static let output: UInt16 = 0
    static let setVLANID: UInt16 = 1
    static let setVLANPriority: UInt16 = 2
    static let setEthSrc: UInt16 = 3
    static let setEthDst: UInt16 = 4
    static let setIPv4Src: UInt16 = 5
    static let setIPv4Dst: UInt16 = 6
    static let setTOS: UInt16 = 7
    static let setECN: UInt16 = 8
    static let setL4Src: UInt16 = 9
    static let setL4Dst: UInt16 = 10
    static let copyTTLOut: UInt16 = 11
    static let copyTTLIn: UInt16 = 12
    static let setMPLSLabel: UInt16 = 13
    static let setMPLSTC: UInt16 = 14
    static let setMPLSTTL: UInt16 = 15
    static let decrementMPLSTTL: UInt16 = 16
    static let pushVLAN: UInt16 = 17
    static let popVLAN: UInt16 = 18
    static let pushMPLS: UInt16 = 19
    static let popMPLS: UInt16 = 20
    static let setQueue: UInt16 = 21
    static let group: UInt16 = 22
    static let setTTL: UInt16 = 23
    static let decrementTTL: UInt16 = 24
    static let setField: UInt16 = 25
    /// 1.3.
    static let pushPBB: UInt16 = 26
    static let popPBB: UInt16 = 27
    /// 1.5.
    static let copyField: UInt16 = 28
    /// 1.5; an instruction before.
    static let meter: UInt16 = 29
    static let experimenter: UInt16 = 0xffff
}

/// `NXAST_*`: the subtype after Nicira's id.
enum NiciraAction {
    static let resubmit: UInt16 = 1
    static let setTunnel: UInt16 = 2
    static let setQueue: UInt16 = 4
    static let popQueue: UInt16 = 5
    static let move: UInt16 = 6
    static let load: UInt16 = 7
    static let note: UInt16 = 8
    static let setTunnel64: UInt16 = 9
    static let multipath: UInt16 = 10
    static let bundle: UInt16 = 12
    static let bundleLoad: UInt16 = 13
    static let resubmitTable: UInt16 = 14
    static let outputField: UInt16 = 15
    static let learn: UInt16 = 16
    static let exit: UInt16 = 17
    static let debugSlow: UInt16 = 254
    static let debugRecirculate: UInt16 = 255
    static let decrementTTL: UInt16 = 18
    static let finTimeout: UInt16 = 19
    static let controller: UInt16 = 20
    static let decrementTTLControllers: UInt16 = 21
    static let writeMetadata: UInt16 = 22
    static let pushMPLS: UInt16 = 23
    static let popMPLS: UInt16 = 24
    static let setMPLSTTL: UInt16 = 25
    static let decrementMPLSTTL: UInt16 = 26
    static let push: UInt16 = 27
    static let pop: UInt16 = 28
    static let sample: UInt16 = 29
    static let setMPLSLabel: UInt16 = 30
    static let setMPLSTC: UInt16 = 31
    static let outputField2: UInt16 = 32
    static let load2: UInt16 = 33
    static let conjunction: UInt16 = 34
    static let connectionTrack: UInt16 = 35
    static let nat: UInt16 = 36
    static let controller2: UInt16 = 37
    static let sample2: UInt16 = 38
    static let outputTruncated: UInt16 = 39
    static let group: UInt16 = 40
    static let sample3: UInt16 = 41
    static let clone: UInt16 = 42
    static let clearConnectionTrack: UInt16 = 43
    static let resubmitTracked: UInt16 = 44
    static let learn2: UInt16 = 45
    static let encapsulate: UInt16 = 46
    static let decapsulate: UInt16 = 47
    static let decrementNSHTTL: UInt16 = 48
    static let checkPacketLarger: UInt16 = 49
    static let deleteField: UInt16 = 50
    static let sample4: UInt16 = 51
}

/// `NX_LEARN_*`: the flags of learn, and the parts of a spec's header.
enum LearnBits {
    static let sendFlowRemoved: UInt16 = 1 << 0
    static let deleteLearned: UInt16 = 1 << 1
    static let writeResult: UInt16 = 1 << 2
    static let widthMask: UInt16 = 0x3ff
    static let immediate: UInt16 = 1 << 13
    static let targetMask: UInt16 = 3 << 11
    static let match: UInt16 = 0 << 11
    static let load: UInt16 = 1 << 11
    static let output: UInt16 = 2 << 11
}

/// `NX_NAT_RANGE_*`: which parts of a range follow.
enum NATBits {
    static let ipv4First: UInt16 = 1 << 0
    static let ipv4Last: UInt16 = 1 << 1
    static let ipv6First: UInt16 = 1 << 2
    static let ipv6Last: UInt16 = 1 << 3
    static let portFirst: UInt16 = 1 << 4
    static let portLast: UInt16 = 1 << 5
}

/// `NX_CT_*`.
enum ConnectionTrackBits {
    static let commit: UInt16 = 1 << 0
    static let force: UInt16 = 1 << 1
    static let noTable: UInt8 = 0xff
}

/// Properties of `NXAST_ENCAP`: class NSH.
enum EncapsulateProperty {
    static let nshClass: UInt16 = 4
    static let mdType: UInt8 = 1
    static let tlv: UInt8 = 2
}

/// Properties of `NXAST_CONTROLLER2`.
enum ControllerProperty {
    static let maxLength: UInt16 = 0
    static let controllerID: UInt16 = 1
    static let reason: UInt16 = 2
    static let userdata: UInt16 = 3
    static let pause: UInt16 = 4
    static let meter: UInt16 = 5
}

/// ONF's copy-field extension for 1.3 and 1.4.
enum ONFAction {
    static let copyField: UInt16 = 3200
}

/// `OFPIT_*`.
enum InstructionType {
    static let gotoTable: UInt16 = 1
    static let writeMetadata: UInt16 = 2
    static let writeActions: UInt16 = 3
    static let applyActions: UInt16 = 4
    static let clearActions: UInt16 = 5
    static let meter: UInt16 = 6
    static let experimenter: UInt16 = 0xffff
}
