import Base
import Testing

@testable import OVSDB

@Suite struct RoleTests {
    private static let schema = #"""
        {"name":"roles","tables":{
        "RBAC_Role":{"isRoot":true,"columns":{"name":{"type":"string"},"permissions":{"type":
         {"key":"string","value":{"type":"uuid","refTable":"RBAC_Permission","refType":"weak"},"min":0,"max":"unlimited"}}}},
        "RBAC_Permission":{"isRoot":true,"columns":{"table":{"type":"string"},"insert_delete":{"type":"boolean"},
         "authorization":{"type":{"key":"string","min":0,"max":"unlimited"}},"update":{"type":{"key":"string","min":0,"max":"unlimited"}}}},
        "Own":{"isRoot":true,"columns":{"owner":{"type":"string"},"n":{"type":"integer"},"fixed":{"type":"integer"}}},
        "Keyed":{"isRoot":true,"columns":{"ids":{"type":{"key":"string","value":"string","min":0,"max":"unlimited"}}}},
        "Other":{"isRoot":true,"columns":{"n":{"type":"integer"}}}}}
        """#

    private func transact(_ session: Session, _ operations: JSON...) throws -> JSON? {
        session.receive(request("transact", .array(["roles"] + operations), id: 1))
        return try messages(session).last?["result"]
    }

    private func insert(_ table: String, _ row: JSON) -> JSON { ["op": "insert", "table": .string(table), "row": row] }

    @Test func rolesAllowWhatTheDatabaseSays() throws {
        let server = DatabaseServer(clock: Clock(stoppedAt: Instant(nanoseconds: 1)), uuids: UUIDGenerator(seed: 1))
        try server.add(Database(schema: DatabaseSchema(JSON(parsing: RoleTests.schema)), uuids: UUIDGenerator(seed: 2)))
        let (root, client) = (server.makeSession(name: "root"), server.makeSession(name: "client"))
        func permission(_ name: String, _ authorization: JSON) -> JSON {
            [
                "op": "insert", "table": "RBAC_Permission", "uuid-name": .string(name),
                "row": ["insert_delete": true, "authorization": authorization, "update": ["set", ["n", "ids"]]] as JSON,
            ]
        }
        _ = try transact(
            root, permission("a", "owner"), permission("b", "ids:chassis"),
            insert(
                "RBAC_Role",
                [
                    "name": "role",
                    "permissions": ["map", [["Own", ["named-uuid", "a"]], ["Keyed", ["named-uuid", "b"]]] as JSON] as JSON,
                ]), insert("Own", ["owner": "other", "n": 1]), insert("Other", ["n": 1]))
        client.role = "role"
        client.clientName = { "me" }
        #expect(try transact(client, insert("Own", ["owner": "me"]))?[0]?["uuid"] != nil)
        #expect(try transact(client, insert("Keyed", ["ids": ["map", [["chassis", "me"]]] as JSON]))?[0]?["uuid"] != nil)
        func refusal(_ operation: JSON) throws -> JSON? {
            let answer = try transact(client, operation)?[0]
            #expect(answer?["error"] == "permission error")
            return answer?["details"]
        }
        let begin = "RBAC rules for client \"me\" role \"role\" prohibit "
        #expect(try refusal(insert("Own", ["owner": "other"])) == .string(begin + "row insertion into table \"Own\"."))
        #expect(try refusal(insert("Other", ["n": 2])) == .string(begin + "row insertion into table \"Other\"."))
        #expect(try refusal(insert("Keyed", ["ids": ["map", [["chassis", "you"]]] as JSON])) != nil)
        let mine: JSON = [["owner", "==", "me"]]
        func update(_ condition: JSON, _ row: JSON) -> JSON { ["op": "update", "table": "Own", "where": condition, "row": row] }
        #expect(try transact(client, update(mine, ["n": 5]))?[0]?["count"] == 1)
        #expect(try refusal(update([], ["n": 5])) == .string(begin + "modification of table \"Own\"."))
        #expect(try refusal(update(mine, ["fixed": 5])) != nil)
        let mutation: JSON = ["op": "mutate", "table": "Own", "where": [], "mutations": [["n", "+=", 1]]]
        #expect(try refusal(mutation) == .string(begin + "mutate operation on table \"Own\"."))
        #expect(
            try transact(client, ["op": "mutate", "table": "Own", "where": [], "mutations": []])?[0]?["count"] == 2, "a count, as ever")
        #expect(try refusal(["op": "delete", "table": "Own", "where": []]) == .string(begin + "row deletion from table \"Own\"."))
        #expect(try transact(client, ["op": "delete", "table": "Own", "where": mine])?[0]?["count"] == 1)
        #expect(try transact(client, ["op": "select", "table": "Other", "where": []])?[0]?["rows"]?.array?.count == 1)
        // Who has shown no certificate may only read.
        client.clientName = { nil }
        #expect(try refusal(insert("Own", ["owner": ""])) != nil)
        #expect(try transact(root, ["op": "delete", "table": "Own", "where": []])?[0]?["count"] == 1)
    }

    @Test func conditionalMonitorsCanBeTurnedOff() throws {
        let server = try makeTestServer()
        let session = server.makeSession(name: "a")
        server.hasConditionalMonitors = false
        for method in ["monitor_cond", "monitor_cond_since", "monitor_cond_change"] {
            session.receive(request(method, ["test", "m", [:] as JSON], id: 1))
            #expect(try messages(session).first?["error"] == "unknown method")
        }
        session.receive(request("monitor", ["test", "m", [:] as JSON], id: 2))
        #expect(try messages(session).first?["result"] == [:])
    }
}
