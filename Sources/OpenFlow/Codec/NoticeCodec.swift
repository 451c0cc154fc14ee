// Table status, forwarded requests, controllers' status, bundle features, Geneve option maps: bodies after the header.

internal import Flow

enum NoticeCodec {
    // MARK: Tables

    static func decodeTableStatus(_ reader: inout ByteReader) throws(OpenFlowError) -> TableStatus {
        let number = try reader.u8()
        guard let reason = TableStatus.Reason(rawValue: number) else {
            throw OpenFlowError(.nxbrcBadReason, "table status reason \(number) is not 3 or 4")
        }
        try reader.skip(7)
        return TableStatus(reason: reason, table: try TableCodec.decodeDescription(&reader))
    }

    static func encode(_ status: TableStatus, _ writer: inout ByteWriter) {
        writer.u8(status.reason.rawValue)
        writer.zeros(7)
        TableCodec.encode(status.table, &writer)
    }

    // MARK: Forwarded requests

    static func decodeForwarded(_ reader: inout ByteReader) throws(OpenFlowError) -> ForwardedRequest {
        let bytes = reader.rest()
        switch try Message.decode(bytes) {
        case (.groupMod(let mod), let xid): return .group(mod, xid: xid)
        case (.meterMod(let mod), let xid): return .meter(mod, xid: xid)
        default: throw OpenFlowError(.brcBadType, "a forwarded request that is neither a group-mod nor a meter-mod")
        }
    }

    /// False if the version has no such request.
    static func encode(_ request: ForwardedRequest, _ version: OpenFlowVersion, _ writer: inout ByteWriter) -> Bool {
        let bytes =
            switch request {
            case .group(let mod, let xid): Message.groupMod(mod).encode(version: version, xid: xid)
            case .meter(let mod, let xid): Message.meterMod(mod).encode(version: version, xid: xid)
            }
        guard let bytes else { return false }
        writer.raw(bytes)
        return true
    }

    // MARK: Controllers

    private static let statusBytes = 16
    private static let uriProperty: UInt16 = 0

    static func decodeController(_ reader: inout ByteReader) throws(OpenFlowError) -> ControllerStatusEntry {
        let length = Int(try reader.u16())
        guard length >= statusBytes else { throw OpenFlowError(.brcBadLen, "controller status of \(length) bytes") }
        var body = try reader.sub(length - 2)
        let id = try body.u16()
        let number = try body.u32()
        let reason = try body.u8()
        let channel = try body.u8()
        try body.skip(6)
        guard let role = ControllerRole(rawValue: number) else { throw OpenFlowError(.rrfcBadRole, "controller role \(number)") }
        var uri = ""
        while !body.isAtEnd {
            var (type, value) = try body.property()
            if type == uriProperty { uri = try value.string(value.remaining) }
        }
        return ControllerStatusEntry(
            shortID: id, role: role, reason: ControllerStatusEntry.Reason(rawValue: reason) ?? .experimenter, isUp: channel == 0, uri: uri)
    }

    static func encode(_ status: ControllerStatusEntry, _ writer: inout ByteWriter) {
        let start = writer.count
        writer.u16(0)
        writer.u16(status.shortID)
        writer.u32(status.role.rawValue)
        writer.u8(status.reason.rawValue)
        writer.u8(status.isUp ? 0 : 1)
        writer.zeros(6)
        writer.property(uriProperty) { $0.raw(status.uri.utf8) }
        writer.patch16(writer.count - start, at: start)
    }

    // MARK: Geneve options

    /// The longest option: 31 words.
    private static let maximumOptionBytes: UInt8 = 124

    static func decodeTLVTableMod(_ reader: inout ByteReader) throws(OpenFlowError) -> TLVTableMod {
        let number = try reader.u16()
        guard let command = TLVTableMod.Command(rawValue: number) else {
            throw OpenFlowError(.nxttmfcBadCommand, "option map command \(number) is not 0, 1 or 2")
        }
        try reader.skip(6)
        return TLVTableMod(command: command, maps: try decodeMaps(&reader))
    }

    static func encode(_ mod: TLVTableMod, _ writer: inout ByteWriter) {
        writer.u16(mod.command.rawValue)
        writer.zeros(6)
        for map in mod.maps { encode(map, &writer) }
    }

    static func decodeTLVTable(_ reader: inout ByteReader) throws(OpenFlowError) -> TLVTable {
        let space = try reader.u32()
        let fields = try reader.u16()
        try reader.skip(10)
        return TLVTable(maximumSpace: space, maximumFields: fields, maps: try decodeMaps(&reader))
    }

    static func encode(_ table: TLVTable, _ writer: inout ByteWriter) {
        writer.u32(table.maximumSpace)
        writer.u16(table.maximumFields)
        writer.zeros(10)
        for map in table.maps { encode(map, &writer) }
    }

    private static func decodeMaps(_ reader: inout ByteReader) throws(OpenFlowError) -> [TLVMap] {
        var maps: [TLVMap] = []
        while !reader.isAtEnd {
            let map = TLVMap(
                optionClass: try reader.u16(), optionType: try reader.u8(), optionLength: try reader.u8(), index: try reader.u16())
            try reader.skip(2)
            guard map.optionLength % 4 == 0, map.optionLength <= maximumOptionBytes else {
                throw OpenFlowError(
                    .nxttmfcBadOptLen, "an option of \(map.optionLength) bytes; it must be a multiple of 4, at most \(maximumOptionBytes)")
            }
            guard Int(map.index) < TLVTable.fieldCount else {
                throw OpenFlowError(.nxttmfcBadFieldIdx, "tun_metadata\(map.index) is not one of 0 to \(TLVTable.fieldCount - 1)")
            }
            maps.append(map)
        }
        return maps
    }

    private static func encode(_ map: TLVMap, _ writer: inout ByteWriter) {
        writer.u16(map.optionClass)
        writer.u8(map.optionType)
        writer.u8(map.optionLength)
        writer.u16(map.index)
        writer.u16(0)
    }
}
