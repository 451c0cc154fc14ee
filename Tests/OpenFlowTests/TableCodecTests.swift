// Table-mod, table descriptions and table status against bytes written down by hand (OpenFlow 1.4, section 7.3.4).

import Testing

@testable import OpenFlow

@Suite struct TableCodecTests {
    /// Version 5, a type, length, transaction 1, then the body.
    private func message(_ type: UInt8, _ body: [UInt8]) -> [UInt8] { [5, type, 0, UInt8(8 + body.count), 0, 0, 0, 1] + body }

    private let properties: [UInt8] = [0, 2, 0, 8, 0, 0, 0, 7, 0, 3, 0, 8, 20, 80, 100, 0]

    @Test func tableMods() throws {
        let bytes = message(17, [3, 0, 0, 0, 0, 0, 0, 0x0c] + properties)
        guard case .tableMod(let mod) = try Message.decode(bytes).message else {
            Issue.record("not a table-mod")
            return
        }
        #expect(mod.tableID == 3 && mod.config == 0x0c && mod.evictionFlags == 7)
        #expect(mod.vacancy == TableDescription.Vacancy(down: 20, up: 80, current: 100))
        #expect(Message.tableMod(mod).encode(version: .v1_4, xid: 1) == bytes)
    }

    @Test(
        arguments: [
            ([0, 2, 0, 8, 0, 0, 0, 8], ErrorCode.tmfcBadConfig), ([0, 3, 0, 8, 80, 20, 0, 0], .bpcBadValue),
            ([0, 3, 0, 8, 80, 101, 0, 0], .bpcBadValue), ([0, 9, 0, 8, 0, 0, 0, 0], .bpcBadType), ([0, 2, 0, 3, 0, 0, 0, 0], .bpcBadLen),
        ] as [([UInt8], ErrorCode)])
    func badProperties(_ property: [UInt8], _ code: ErrorCode) {
        do {
            _ = try Message.decode(message(17, [3, 0, 0, 0, 0, 0, 0, 0x0c] + property))
            Issue.record("\(property) was taken")
        } catch {
            #expect(error.code == code)
        }
    }

    @Test func descriptionsAndStatus() throws {
        let description: [UInt8] = [0, 24, 3, 0, 0, 0, 0, 0x0c] + properties
        let status = message(31, [4, 0, 0, 0, 0, 0, 0, 0] + description)
        guard case .tableStatus(let decoded) = try Message.decode(status).message else {
            Issue.record("not a table status")
            return
        }
        #expect(decoded.reason == .vacancyUp && decoded.table.vacancy?.current == 100)
        #expect(Message.tableStatus(decoded).encode(version: .v1_4, xid: 1) == status)
        #expect(Message.tableStatus(decoded).encode(version: .v1_3, xid: 1) == nil)
        let reply = Message.statsReply(.tableDescription([decoded.table]), more: false)
        let bytes = message(19, [0, 14, 0, 0, 0, 0, 0, 0] + description)
        #expect(reply.encode(version: .v1_4, xid: 1) == bytes)
        #expect(try Message.decode(bytes).message == reply)
    }
}
