import Base
import Testing

@testable import OVSDB

/// A server with the test schema in memory, a stopped clock and repeatable UUIDs.
func makeTestServer(seed: UInt64 = 1, limits: DatabaseLimits = DatabaseLimits()) throws -> DatabaseServer {
    let server = DatabaseServer(
        clock: Clock(stoppedAt: Instant(nanoseconds: 1_000_000_000)), limits: limits, uuids: UUIDGenerator(seed: seed))
    try server.add(Database(schema: makeTestSchema(), limits: limits, uuids: UUIDGenerator(seed: seed + 1)))
    return server
}

/// All messages a session has produced.
func messages(_ session: Session) throws -> [JSON] {
    var framer = JSONFramer()
    framer.append(session.takeOutput())
    var result: [JSON] = []
    while let next = try framer.next() { result.append(next) }
    return result
}

/// An error reply of the recorded server lacks "result"; rows of a select come in no order.
private func normalized(_ json: JSON) -> JSON {
    switch json {
    case .array(let elements): return .array(elements.map(normalized))
    case .object(var object):
        if object["error"] != nil, object["result"]?.isNull == true { object["result"] = nil }
        if case .array(let rows)? = object["rows"] { object["rows"] = .array(rows.map(normalized).sorted { $0.text < $1.text }) }
        return .object(JSONObject(object.members.map { ($0.key, normalized($0.value)) }))
    default: return json
    }
}

@Suite struct ExchangeTests {
    @Test(arguments: ["transactions", "monitors", "conditions", "indexes", "mutations"]) func answersLikeTheFieldsServer(
        _ name: String
    ) throws {
        let recorded = [
            "transactions": transactionExchanges, "monitors": monitorExchanges, "conditions": conditionExchanges, "indexes": indexExchanges,
            "mutations": mutationExchanges,
        ]
        let text = recorded[name]!
        let server = try makeTestServer()
        let session = server.makeSession(name: "test")
        let lines = text.split(separator: "\n")
        for index in stride(from: 0, to: lines.count - 1, by: 2) {
            session.receive(Array(lines[index].utf8))
            try #require(!session.isClosed, "\(lines[index])")
            var answers = try messages(session)
            // A wait that needs time gets it.
            while answers.isEmpty, server.nextDeadline != nil {
                server.clock.warp(milliseconds: 50)
                server.runTimers()
                answers = try messages(session)
            }
            let expected = lines[index + 1]
            if expected == "-" { continue }
            var framer = JSONFramer()
            framer.append(Array(expected.utf8))
            var wanted: [JSON] = []
            while let next = try framer.next() { wanted.append(normalized(next)) }
            let got = answers.map { normalized(withoutUUIDs($0)) }
            // Updates of one commit for different monitors have no order among each other.
            #expect(got.sorted { $0.text < $1.text } == wanted.sorted { $0.text < $1.text }, "\(name): \(lines[index])")
        }
    }
}
