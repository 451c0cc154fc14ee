// Requests for flows, of all versions and in Nicira's form; table features.

internal import Flow

extension StatsCodec {
    // MARK: Requests for flows

    static func decodeFlowRequest(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> FlowStatsRequest {
        var request = FlowStatsRequest()
        if version == .v1_0 {
            request.match = try LegacyMatch.decode10(&reader)
            request.tableID = try reader.u8()
            try reader.skip(1)
            request.outPort = OpenFlowPort(wire16: try reader.u16())
            return request
        }
        request.tableID = try reader.u8()
        try reader.skip(3)
        request.outPort = OpenFlowPort(try reader.u32())
        request.outGroup = try reader.u32()
        try reader.skip(4)
        let cookie = try reader.u64()
        request.cookieMask = try reader.u64()
        request.cookie = cookie & request.cookieMask
        request.match = version == .v1_1 ? try LegacyMatch.decode11(&reader) : try OXMCodec.decodeStandardMatch(&reader)
        return request
    }

    static func encodeFlowRequest(_ request: FlowStatsRequest, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        if version == .v1_0 {
            LegacyMatch.encode10(request.match, to: &writer)
            writer.u8(request.tableID)
            writer.u8(0)
            writer.u16(request.outPort.wire16)
            return
        }
        writer.u8(request.tableID)
        writer.zeros(3)
        writer.u32(request.outPort.rawValue)
        writer.u32(request.outGroup)
        writer.u32(0)
        writer.u64(request.cookie)
        writer.u64(request.cookieMask)
        if version == .v1_1 {
            LegacyMatch.encode11(request.match, to: &writer)
        } else {
            OXMCodec.encodeStandardMatch(request.$match, version: version, to: &writer)
        }
    }

    static func decodeNXFlowRequest(_ reader: inout ByteReader) throws(OpenFlowError) -> FlowStatsRequest {
        var request = FlowStatsRequest(isNXM: true)
        request.outPort = OpenFlowPort(wire16: try reader.u16())
        let length = Int(try reader.u16())
        request.tableID = try reader.u8()
        try reader.skip(3)
        let decoded = try OXMCodec.decodeNXM(&reader, length: length, allowsCookie: true)
        request.match = decoded.match
        request.cookie = decoded.cookie
        request.cookieMask = decoded.cookieMask
        return request
    }

    static func encodeNXFlowRequest(_ request: FlowStatsRequest, _ writer: inout ByteWriter) {
        writer.u16(request.outPort.wire16)
        let lengthOffset = writer.count
        writer.u16(0)
        writer.u8(request.tableID)
        writer.zeros(3)
        let start = writer.count
        OXMCodec.encodeMatch(request.$match, .nxm, cookie: request.cookie, cookieMask: request.cookieMask, to: &writer)
        writer.patch16(writer.count - start, at: lengthOffset)
        writer.pad(to: 8, from: start)
    }

    // MARK: Table features

    static func decodeTableFeatures(_ reader: inout ByteReader) throws(OpenFlowError) -> TableFeatures {
        let length = Int(try reader.u16())
        guard length >= 64 else { throw OpenFlowError(.bpcBadLen, "table features of \(length) bytes") }
        var body = try reader.sub(length - 2, lengthError: .bpcBadLen)
        let table = try body.u8()
        let command = try body.u8()
        try body.skip(4)
        let name = try body.string(32)
        let metadataMatch = try body.u64()
        let metadataWrite = try body.u64()
        let capabilities = try body.u32()
        let entries = try body.u32()
        var properties: [TableFeatureProperty] = []
        while !body.isAtEnd {
            var (kind, content) = try body.property()
            properties.append(TableFeatureProperty(kind: kind, content: content.rest()))
        }
        var features = TableFeatures(
            tableID: table, name: name, metadataMatch: metadataMatch, metadataWrite: metadataWrite, capabilities: capabilities,
            maximumEntries: entries, properties: properties)
        features.command = command
        return features
    }

    static func encode(_ table: TableFeatures, _ writer: inout ByteWriter) {
        let start = writer.count
        writer.u16(0)
        writer.u8(table.tableID)
        writer.u8(table.command)
        writer.zeros(4)
        writer.string(table.name, count: 32)
        writer.u64(table.metadataMatch)
        writer.u64(table.metadataWrite)
        writer.u32(table.capabilities)
        writer.u32(table.maximumEntries)
        for property in table.properties { writer.property(property.kind) { $0.raw(property.content) } }
        writer.patch16(writer.count - start, at: start)
    }
}
