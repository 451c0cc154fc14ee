import Testing

@testable import OVSDB

@Suite struct SchemaTests {
    @Test func survivesJSON() throws {
        let schema = makeTestSchema()
        let again = try DatabaseSchema(schema.json)
        #expect(again.json == schema.json)
        #expect(again.isEquivalent(to: schema))
        #expect(schema.table("T")?.isRoot == true && schema.table("C")?.isRoot == false)
        #expect(schema.table("M")?.maxRows == 2)
        #expect(schema.table("T")?.column("strong")?.type.key.isStrongReference == true)
        #expect(schema.table("T")?.column("weak")?.type.key.isWeakReference == true)
        #expect(schema.table("T")?.column("_uuid")?.isMutable == false)
    }

    @Test func allTablesAreRootWhereNoneSaysSo() throws {
        let schema = try DatabaseSchema(JSON(parsing: #"{"name":"x","tables":{"A":{"columns":{"a":{"type":"string"}}}}}"#))
        #expect(schema.tables[0].isRoot)
        #expect(!schema.json.text.contains("isRoot"))
    }

    /// Text of the schema's table, and what must be complained about.
    @Test(arguments: [
        (#"5"#, "Parsing database schema failed: Object expected."),
        (#"{"name":"t"}"#, "Required 'tables' member is missing"),
        (#"{"name":"0t","tables":{}}"#, "Type mismatch for member 'name'"),
        (#"{"name":"t","tables":{},"foo":1}"#, "Member 'foo' is present but not allowed here."),
        (#"{"name":"t","version":"1","tables":{}}"#, "not in format x.y.z"),
        (#"{"name":"t","tables":{"T":{}}}"#, "Required 'columns' member is missing."),
        (#"{"name":"t","tables":{"T":{"columns":{}}}}"#, "table must have at least one column"),
        (#"{"name":"t","tables":{"_T":{"columns":{"a":{"type":"string"}}}}}"#, "names beginning with \"_\" are reserved"),
        (#"{"name":"t","tables":{"T":{"columns":{"_a":{"type":"string"}}}}}"#, "names beginning with \"_\" are reserved"),
        (#"{"name":"t","tables":{"T":{"columns":{"a":{"type":"integr"}}}}}"#, "\"integr\" is not an atomic-type"),
        (
            #"{"name":"t","tables":{"T":{"columns":{"a":{"type":{"key":{"type":"uuid","refTable":"Q"}}}}}}}"#,
            "column a key refers to undefined table Q"
        ),
        (
            #"{"name":"t","tables":{"T":{"columns":{"a":{"type":{"key":{"type":"uuid","refTable":"T","refType":"x"}}}}}}}"#,
            "refType must be \"strong\" or \"weak\" (not \"x\")"
        ),
        (#"{"name":"t","tables":{"T":{"columns":{"a":{"type":{"key":"string","min":2}}}}}}"#, "ovsdb type fails constraint checks"),
        (#"{"name":"t","tables":{"T":{"columns":{"a":{"type":{"key":"string","max":0}}}}}}"#, "ovsdb type fails constraint checks"),
        (
            #"{"name":"t","tables":{"T":{"columns":{"a":{"type":{"key":{"type":"integer","minInteger":5,"maxInteger":1}}}}}}}"#,
            "minInteger exceeds maxInteger"
        ),
        (
            #"{"name":"t","tables":{"T":{"columns":{"a":{"type":{"key":{"type":"integer","enum":["set",[]]}}}}}}}"#,
            "set must have 1 to 4294967295 members but 0 are present"
        ),
        (
            #"{"name":"t","tables":{"T":{"columns":{"a":{"type":{"key":{"type":"integer","minLength":1}}}}}}}"#,
            "Member 'minLength' is present but not allowed here."
        ),
        (#"{"name":"t","tables":{"T":{"columns":{"a":{"type":"string"}},"indexes":[["b"]]}}}"#, "b is not a valid column name"),
        (
            #"{"name":"t","tables":{"T":{"columns":{"a":{"type":"string","ephemeral":true}},"indexes":[["a"]]}}}"#,
            "ephemeral columns (such as a) may not be indexed"
        ),
        (#"{"name":"t","tables":{"T":{"columns":{"a":{"type":"string"}},"maxRows":0}}}"#, "maxRows must be at least 1"),
    ]) func refuses(_ text: String, _ reason: String) throws {
        let json = try JSON(parsing: text)
        do {
            _ = try DatabaseSchema(json)
            Issue.record("accepted \(text)")
        } catch {
            #expect(error.details?.contains(reason) == true, "\(error)")
        }
    }

    @Test func saysTypesInEnglish() throws {
        let table = try #require(makeTestSchema().table("T"))
        #expect(table.column("mi")?.type.englishText == "map of up to 2 (integer, integer) pairs")
        #expect(table.column("m")?.type.englishText == "map of (string, string) pairs")
        #expect(table.column("ir")?.type.englishText == "set of up to 3 integers")
        #expect(table.column("strong")?.type.englishText == "set of uuids")
        #expect(makeTestSchema().table("W")?.column("must")?.type.englishText == "set of 1 to 2 uuids")
    }
}
