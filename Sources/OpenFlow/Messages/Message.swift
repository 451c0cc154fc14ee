// A message, whatever its version.
//
// Decoding (`Message.decode`) turns bytes of any version into one of these; `encode` turns it back into bytes of a given
// version. Payload types are in this folder, one file a subject. What a version cannot say is left out when encoding and
// has its documented default when decoding.

public import Flow

/// One OpenFlow message, without header.
public enum Message: Equatable, Sendable {
    // Symmetric
    case hello(Hello)
    case error(ErrorMessage)
    case echoRequest([UInt8])
    case echoReply([UInt8])
    case experimenter(ExperimenterMessage)
    // Switch
    case featuresRequest
    case featuresReply(SwitchFeatures)
    case getConfigRequest
    case getConfigReply(SwitchConfig)
    case setConfig(SwitchConfig)
    case barrierRequest
    case barrierReply
    // Asynchronous
    indirect case packetIn(PacketIn)
    indirect case flowRemoved(FlowRemoved)
    indirect case portStatus(PortStatus)
    // Commands
    indirect case packetOut(PacketOut)
    indirect case flowMod(FlowMod)
    case groupMod(GroupMod)
    case portMod(PortMod)
    case tableMod(TableMod)
    case meterMod(MeterMod)
    // Statistics
    case statsRequest(StatsRequest, more: Bool)
    case statsReply(StatsReply, more: Bool)
    // Queues (1.0 to 1.3)
    case queueGetConfigRequest(port: OpenFlowPort)
    case queueGetConfigReply(port: OpenFlowPort, queues: [UInt8])
    // Controllers
    case roleRequest(RoleMessage)
    case roleReply(RoleMessage)
    case roleStatus(RoleStatus)
    case tableStatus(TableStatus)
    case requestForward(ForwardedRequest)
    /// 1.5.
    case controllerStatus(ControllerStatusEntry)
    case getAsyncRequest
    case getAsyncReply(AsyncConfig)
    /// `isNicira`: NXT_SET_ASYNC_CONFIG, whose numbering is 1.3's.
    case setAsync(AsyncConfig, isNicira: Bool)
    // Bundles (1.4, and ONF's extension of 1.3)
    case bundleControl(BundleControl)
    case bundleAdd(BundleAdd)
    // Nicira
    case setFlowFormat(FlowFormat)
    case flowModTableID(Bool)
    case setPacketInFormat(PacketInFormat)
    case setControllerID(UInt16)
    case flowAge
    /// NXT_RESUME: a packet-in with a continuation, given back.
    indirect case resume(PacketIn)
    case tlvTableMod(TLVTableMod)
    case tlvTableRequest
    case tlvTableReply(TLVTable)
    case flushConntrackZone(UInt16)
    /// NXT_CT_FLUSH: an IP protocol and properties, which connection tracking reads.
    case flushConntrack(protocolNumber: UInt8, properties: [UInt8])
    // Flow monitors before 1.4, which has them among the multipart messages
    case flowMonitorCancel(id: UInt32)
    case flowMonitorPaused
    case flowMonitorResumed
}
