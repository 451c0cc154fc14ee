// Statistics replies of any length, split into messages.
//
// Entries are written one by one into the part under construction; when it is full, it gets the MORE flag and a new part
// begins. So 100,000 flows are never in memory as values, only as the bytes to send.

internal import Flow

/// Builds the parts of one statistics reply.
public struct MultipartWriter {
    private let version: OpenFlowVersion
    private let xid: UInt32
    /// The reply without entries: what each part begins with.
    private let header: [UInt8]
    private var writer = ByteWriter()
    /// Finished parts. May be taken at any time.
    public private(set) var parts: [[UInt8]] = []

    /// - Parameter empty: the reply's kind, without entries; nil comes back if the version has none such.
    public init?(_ empty: StatsReply, version: OpenFlowVersion, xid: UInt32) {
        guard let header = Message.statsReply(empty, more: false).encode(version: version, xid: xid) else { return nil }
        self.version = version
        self.xid = xid
        self.header = header
        writer.bytes = header
    }

    /// Adds entries of the same kind as the writer was made with. One entry must fit into a message.
    public mutating func append(_ entries: StatsReply) {
        switch entries {
        case .flow(let flows, let isNXM): for flow in flows { append(flow, isNXM: isNXM) }
        case .flowCounters(let flows): for flow in flows { add { writer, _ in FlowStatsCodec.encodeCounters(flow, &writer) } }
        case .table(let tables): for table in tables { add { writer, version in StatsReplyCodec.encode(table, version, &writer) } }
        case .port(let ports): for port in ports { add { writer, version in PortCodec.encodeStats(port, version, &writer) } }
        case .queue(let queues): for queue in queues { add { writer, version in StatsReplyCodec.encode(queue, version, &writer) } }
        case .group(let groups): for group in groups { add { writer, version in GroupCodec.encode(group, version, &writer) } }
        case .groupDescription(let groups): for group in groups { add { writer, version in GroupCodec.encode(group, version, &writer) } }
        case .meter(let meters): for meter in meters { add { writer, _ in GroupCodec.encode(meter, &writer) } }
        case .meterConfig(let meters): for meter in meters { add { writer, _ in GroupCodec.encode(meter, &writer) } }
        case .tableFeatures(let tables): for table in tables { add { writer, _ in StatsCodec.encode(table, &writer) } }
        case .portDescription(let ports): for port in ports { add { writer, version in PortCodec.encodePort(port, version, &writer) } }
        case .tableDescription(let tables): for table in tables { add { writer, _ in TableCodec.encode(table, &writer) } }
        case .flowMonitor(let updates):
            for update in updates { add { writer, version in FlowMonitorCodec.encode(update, version, &writer) } }
        default: add { writer, version in StatsReplyCodec.encode(entries, version, &writer) }
        }
    }

    /// Adds one flow.
    public mutating func append(_ flow: FlowStats, isNXM: Bool) {
        add { writer, version in FlowStatsCodec.encode(flow, version, isNXM: isNXM, &writer) }
    }

    private mutating func add(_ entry: (inout ByteWriter, OpenFlowVersion) -> Void) {
        let start = writer.count
        entry(&writer, version)
        guard writer.count > OpenFlowLimits.replyPartBytes, start > header.count else { return }
        let rest = Array(writer.bytes[start...])
        writer.bytes.removeSubrange(start...)
        flush(more: true)
        writer.bytes.append(contentsOf: rest)
    }

    private mutating func flush(more: Bool) {
        writer.patch16(writer.count, at: 2)
        // The flags stand behind the type, right after the header.
        writer.patch16(more ? 1 : 0, at: OpenFlowLimits.headerBytes + 2)
        parts.append(writer.bytes)
        writer.bytes = header
    }

    /// Takes the parts finished so far, for sending before the rest is written.
    public mutating func takeParts() -> [[UInt8]] {
        defer { parts.removeAll() }
        return parts
    }

    /// Ends the last part; returns what was not taken.
    public mutating func finish() -> [[UInt8]] {
        flush(more: false)
        return takeParts()
    }
}
