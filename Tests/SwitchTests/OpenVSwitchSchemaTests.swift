import Glibc
import OVSDB
import Switch
import Testing

/// The text of a file, nil if it is not there.
private func contents(_ path: String) -> String? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = fread(&chunk, 1, chunk.count, file)
        if count == 0 { break }
        bytes.append(contentsOf: chunk[..<count])
    }
    return String(decoding: bytes, as: UTF8.self)
}

@Suite struct OpenVSwitchSchemaTests {
    @Test func survivesJSON() throws {
        let schema = makeOpenVSwitchSchema()
        let again = try DatabaseSchema(schema.json)
        #expect(again.isEquivalent(to: schema))
        #expect(again.computedChecksum == schema.checksum)
        #expect(schema.tables.count == 19)
    }

    /// Everything Debian's clients know is there, with the same type; the few widened columns are listed.
    @Test(.enabled(if: access("/usr/share/openvswitch/vswitch.ovsschema", R_OK) == 0))
    func coversTheInstalledSchema() throws {
        let schema = makeOpenVSwitchSchema()
        let theirs = try DatabaseSchema(JSON(parsing: try #require(contents("/usr/share/openvswitch/vswitch.ovsschema"))))
        #expect(schema.reasonNotToConvert(from: theirs) == nil)
        for table in theirs.tables {
            let mine = try #require(schema.table(table.name))
            #expect(mine.isRoot == table.isRoot && mine.maxRows == table.maxRows, "\(table.name)")
            #expect(
                mine.indexes.map { $0.map { mine.columns[$0].name } } == table.indexes.map { $0.map { table.columns[$0].name } },
                "\(table.name)")
            for column in table.columns {
                let ours = try #require(mine.column(column.name))
                #expect(ours.isMutable == column.isMutable && ours.isEphemeral == column.isEphemeral, "\(table.name).\(column.name)")
                if (table.name, column.name) == ("Flow_Table", "prefixes") {
                    #expect(ours.type.max == 4)
                } else {
                    #expect(ours.type.json == column.type.json, "\(table.name).\(column.name)")
                }
            }
        }
    }
}
