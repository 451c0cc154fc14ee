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
    static let resubmitTable: UInt16 = 14
    static let outputField: UInt16 = 15
    static let exit: UInt16 = 17
    static let decrementTTL: UInt16 = 18
    static let controller: UInt16 = 20
    static let decrementTTLControllers: UInt16 = 21
    static let writeMetadata: UInt16 = 22
    static let pushMPLS: UInt16 = 23
    static let popMPLS: UInt16 = 24
    static let setMPLSTTL: UInt16 = 25
    static let decrementMPLSTTL: UInt16 = 26
    static let push: UInt16 = 27
    static let pop: UInt16 = 28
    static let setMPLSLabel: UInt16 = 30
    static let setMPLSTC: UInt16 = 31
    static let outputField2: UInt16 = 32
    static let load2: UInt16 = 33
    static let conjunction: UInt16 = 34
    static let controller2: UInt16 = 37
    static let outputTruncated: UInt16 = 39
    static let group: UInt16 = 40
    static let clone: UInt16 = 42
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
