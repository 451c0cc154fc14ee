// The eight bytes before every message.

/// `ofp_header`.
public struct Header: Equatable, Sendable {
    public var version: UInt8
    public var type: UInt8
    /// The message's bytes, header included.
    public var length: Int
    public var xid: UInt32

    /// Reads the first eight bytes of `bytes`; nil if there are fewer.
    public init?(_ bytes: some Collection<UInt8>) {
        var value: UInt64 = 0
        var count = 0
        for byte in bytes.prefix(OpenFlowLimits.headerBytes) {
            value = value << 8 | UInt64(byte)
            count += 1
        }
        guard count == OpenFlowLimits.headerBytes else { return nil }
        version = UInt8(truncatingIfNeeded: value >> 56)
        type = UInt8(truncatingIfNeeded: value >> 48)
        length = Int(value >> 32 & 0xffff)
        xid = UInt32(truncatingIfNeeded: value)
    }
}

/// `OFPT_*`. Where the versions disagree: `numbered` and `init(number:version:)`.
enum MessageType: Sendable {
    case hello, error, echoRequest, echoReply, experimenter, featuresRequest, featuresReply, getConfigRequest, getConfigReply, setConfig
    case packetIn, flowRemoved, portStatus, packetOut, flowMod, groupMod, portMod, tableMod, statsRequest, statsReply, barrierRequest
    case barrierReply, queueGetConfigRequest, queueGetConfigReply, roleRequest, roleReply, getAsyncRequest, getAsyncReply, setAsync
    case meterMod, roleStatus, tableStatus, requestForward, bundleControl, bundleAdd, controllerStatus

    private static let table10: [MessageType] = [
        .hello, .error, .echoRequest, .echoReply, .experimenter, .featuresRequest, .featuresReply, .getConfigRequest, .getConfigReply,
        .setConfig, .packetIn, .flowRemoved, .portStatus, .packetOut, .flowMod, .portMod, .statsRequest, .statsReply, .barrierRequest,
        .barrierReply, .queueGetConfigRequest, .queueGetConfigReply,
    ]
    private static let table11: [MessageType] = [
        .hello, .error, .echoRequest, .echoReply, .experimenter, .featuresRequest, .featuresReply, .getConfigRequest, .getConfigReply,
        .setConfig, .packetIn, .flowRemoved, .portStatus, .packetOut, .flowMod, .groupMod, .portMod, .tableMod, .statsRequest, .statsReply,
        .barrierRequest, .barrierReply, .queueGetConfigRequest, .queueGetConfigReply, .roleRequest, .roleReply, .getAsyncRequest,
        .getAsyncReply, .setAsync, .meterMod, .roleStatus, .tableStatus, .requestForward, .bundleControl, .bundleAdd,
        .controllerStatus,
    ]

    /// How many types a version has.
    private static func count(in version: OpenFlowVersion) -> Int {
        switch version {
        case .v1_0: 22
        case .v1_1: 24
        case .v1_2: 26
        case .v1_3: 30
        case .v1_4: 35
        case .v1_5: 36
        }
    }

    init?(number: UInt8, version: OpenFlowVersion) {
        guard Int(number) < MessageType.count(in: version) else { return nil }
        let type = (version == .v1_0 ? MessageType.table10 : MessageType.table11)[Int(number)]
        // 1.4 put queue configurations among the multipart messages.
        if version >= .v1_4, type == .queueGetConfigRequest || type == .queueGetConfigReply { return nil }
        self = type
    }

    /// Bytes behind the header, of the messages whose length says nothing; nil for the others.
    func bodyBytes(in version: OpenFlowVersion) -> Int? {
        switch self {
        case .featuresRequest, .getConfigRequest, .barrierRequest, .barrierReply, .getAsyncRequest: 0
        case .getConfigReply, .setConfig: 4
        case .roleRequest, .roleReply: 16
        case .portMod where version < .v1_4: version == .v1_0 ? 24 : 32
        case .tableMod where version < .v1_4: 8
        case .setAsync where version == .v1_3, .getAsyncReply where version == .v1_3: 24
        case .queueGetConfigRequest: version == .v1_0 ? 4 : 8
        default: nil
        }
    }

    /// Whether only switches say it.
    var isForControllers: Bool {
        switch self {
        case .featuresReply, .getConfigReply, .packetIn, .flowRemoved, .portStatus, .statsReply, .barrierReply, .queueGetConfigReply,
            .roleReply, .getAsyncReply, .roleStatus, .tableStatus, .requestForward, .controllerStatus:
            true
        default: false
        }
    }

    /// The type's number in `version`; nil if it has none.
    func number(in version: OpenFlowVersion) -> UInt8? {
        let table = version == .v1_0 ? MessageType.table10 : MessageType.table11
        guard let index = table.firstIndex(of: self), index < MessageType.count(in: version) else { return nil }
        return UInt8(index)
    }
}

/// Subtypes of Nicira's messages (`NXT_*`).
enum NiciraMessage {
    static let roleRequest: UInt32 = 10
    static let roleReply: UInt32 = 11
    static let setFlowFormat: UInt32 = 12
    static let flowMod: UInt32 = 13
    static let flowRemoved: UInt32 = 14
    static let flowModTableID: UInt32 = 15
    static let setPacketInFormat: UInt32 = 16
    static let packetIn: UInt32 = 17
    static let flowAge: UInt32 = 18
    static let setAsync: UInt32 = 19
    static let setControllerID: UInt32 = 20
    static let flowMonitorCancel: UInt32 = 21
    static let flowMonitorPaused: UInt32 = 22
    static let flowMonitorResumed: UInt32 = 23
    static let tlvTableMod: UInt32 = 24
    static let tlvTableRequest: UInt32 = 25
    static let tlvTableReply: UInt32 = 26
    static let setAsync2: UInt32 = 27
    static let resume: UInt32 = 28
    static let flushConntrackZone: UInt32 = 29
    static let packetIn2: UInt32 = 30
    static let groupMod: UInt32 = 31
    static let flushConntrack: UInt32 = 32
    static let requestForward: UInt32 = 132

    /// Those that only switches say.
    static let forControllers: Set<UInt32> = [
        roleReply, flowRemoved, packetIn, packetIn2, flowMonitorPaused, flowMonitorResumed, tlvTableReply, requestForward,
    ]
}

/// Subtypes of Nicira's statistics (`NXST_*`).
enum NiciraStats {
    static let flow: UInt32 = 0
    static let aggregate: UInt32 = 1
    static let flowMonitor: UInt32 = 2
    static let ipfixBridge: UInt32 = 3
    static let ipfixFlow: UInt32 = 4
    /// Groups over 1.0, their features over 1.1 too.
    static let group: UInt32 = 7
    static let groupDescription: UInt32 = 8
    static let groupFeatures: UInt32 = 9
}

/// Types of ONF's statistics for 1.3.
enum ONFStats {
    static let flowMonitor: UInt32 = 1870
}

/// Subtypes of ONF's messages for 1.3.
enum ONFMessage {
    static let flowMonitorCancel: UInt32 = 1870
    static let flowMonitorPaused: UInt32 = 1871
    static let flowMonitorResumed: UInt32 = 1872
    static let roleStatus: UInt32 = 1911
    static let requestForward: UInt32 = 2350
    static let bundleControl: UInt32 = 2300
    static let bundleAdd: UInt32 = 2301
}
