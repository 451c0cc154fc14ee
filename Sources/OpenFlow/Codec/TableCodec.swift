// Table-mod and table descriptions: bodies behind the header.

enum TableCodec {
    /// `OFPTMPT_*`.
    private enum Property {
        static let eviction: UInt16 = 2
        static let vacancy: UInt16 = 3
    }

    // MARK: Table-mod

    static func decodeMod(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> TableMod {
        let table = try reader.u8()
        try reader.skip(3)
        var mod = TableMod(tableID: table, config: try reader.u32())
        if version >= .v1_4 { (mod.evictionFlags, mod.vacancy) = try decodeProperties(&reader) }
        return mod
    }

    static func encode(_ mod: TableMod, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        writer.u8(mod.tableID)
        writer.zeros(3)
        writer.u32(mod.config)
        if version >= .v1_4 { encode(mod.evictionFlags, mod.vacancy, &writer) }
    }

    // MARK: Properties

    private static func decodeProperties(
        _ reader: inout ByteReader
    ) throws(OpenFlowError) -> (evictionFlags: UInt32?, vacancy: TableDescription.Vacancy?) {
        var flags: UInt32?
        var vacancy: TableDescription.Vacancy?
        while !reader.isAtEnd {
            var (type, body) = try reader.property()
            switch type {
            case Property.eviction:
                let given = try body.u32()
                try body.expectEnd()
                if given & ~TableDescription.allEvictionFlags != 0 {
                    throw OpenFlowError(.tmfcBadConfig, "eviction flags 0x\(String(given, radix: 16)) are not all known")
                }
                flags = given
            case Property.vacancy:
                let (down, up) = (try body.u8(), try body.u8())
                let current = try body.u8()
                try body.skip(1)
                try body.expectEnd()
                if down > up || up > 100 {
                    throw OpenFlowError(.bpcBadValue, "vacancy \(down) to \(up) is not a range of percents")
                }
                vacancy = TableDescription.Vacancy(down: down, up: up, current: current)
            default: throw ByteReader.unknownProperty(type, body, of: "a table")
            }
        }
        return (flags, vacancy)
    }

    private static func encode(_ flags: UInt32?, _ vacancy: TableDescription.Vacancy?, _ writer: inout ByteWriter) {
        if let flags { writer.property(Property.eviction) { $0.u32(flags) } }
        if let vacancy {
            writer.property(Property.vacancy) {
                $0.u8(vacancy.down)
                $0.u8(vacancy.up)
                $0.u8(vacancy.current)
                $0.u8(0)
            }
        }
    }

    // MARK: Descriptions

    static func decodeDescription(_ reader: inout ByteReader) throws(OpenFlowError) -> TableDescription {
        let length = Int(try reader.u16())
        guard length >= 8 else { throw OpenFlowError(.brcBadLen, "table description of \(length) bytes") }
        var body = try reader.sub(length - 2)
        let table = try body.u8()
        try body.skip(1)
        var description = TableDescription(tableID: table, config: try body.u32())
        (description.evictionFlags, description.vacancy) = try decodeProperties(&body)
        return description
    }

    static func encode(_ table: TableDescription, _ writer: inout ByteWriter) {
        let start = writer.count
        writer.u16(0)
        writer.u8(table.tableID)
        writer.u8(0)
        writer.u32(table.config)
        encode(table.evictionFlags, table.vacancy, &writer)
        writer.patch16(writer.count - start, at: start)
    }
}
