import Testing

@testable import OVSDB

private func randomJSON(_ random: inout RandomSource, depth: Int) -> JSON {
    switch random.below(depth > 0 ? 8 : 6) {
    case 0: return .null
    case 1: return .boolean(random.chance(50))
    case 2: return .integer(Int64(bitPattern: random.next()))
    case 3: return .integer(Int64(random.below(20)) - 10)
    case 4: return .real((Double(random.below(1_000_000_000)) + 0.5) / Double(1 + random.below(1000)))
    case 5:
        let scalars: [Unicode.Scalar] = ["a", "\"", "\\", "\n", "\u{1}", "é", "e", "\u{301}", "😀", "/", "\u{7f}", "\u{2028}"]
        var text = ""
        for _ in 0..<random.below(12) { text.unicodeScalars.append(random.pick(scalars)) }
        return .string(text)
    case 6: return .array((0..<random.below(5)).map { _ in randomJSON(&random, depth: depth - 1) })
    default:
        return .object(
            JSONObject((0..<random.below(5)).map { _ in ("k\(random.below(9))", randomJSON(&random, depth: depth - 1)) }))
    }
}

/// As a file holds it.
private func exactBytes(_ value: JSON) -> [UInt8] {
    var writer = JSONWriter(exact: true)
    writer.write(value)
    return writer.bytes
}

@Suite struct JSONTests {
    /// Clients are told reals with 15 digits, as by the field's server.
    @Test func tellsRealsInFifteenDigits() {
        #expect((["r": .real(0.5 / 3), "s": .real(1e300), "t": .real(3)] as JSON).text == #"{"r":0.166666666666667,"s":1e+300,"t":3}"#)
    }

    /// The order of a chained hash table, as that of the field's server was seen to be.
    @Test func namesHaveTheFieldsOrder() {
        let names = ["c0", "c1", "c2", "c3", "c4", "c5", "n", "name"]
        // "c0" and "c2" share a bucket; which comes first depends on how often they were copied.
        let order = FieldOrder.positions(names).map { names[$0] }.filter { $0 != "c2" }
        #expect(order == ["name", "c3", "n", "c4", "c5", "c0", "c1"])
    }

    @Test func writesCompactSortedText() {
        let value: JSON = ["b": [1, -2, 0.5, "x\ty"] as JSON, "a": .null, "ä": true]
        #expect(value.text == #"{"a":null,"b":[1,-2,0.5,"x\ty"],"ä":true}"#)
    }

    @Test(arguments: [
        ("0", JSON.integer(0)), ("-0", .integer(0)), ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
        ("9223372036854775808", .real(9.223372036854775808e18)), ("1.0", .integer(1)), ("1e2", .integer(100)), ("-1.5E-1", .real(-0.15)),
        (#""A\ud83d\ude00\/""#, .string("A😀/")), (" [ ] ", .array([])), ("{}", .object(JSONObject())),
        (#"{"a":1,"a":2}"#, .object(JSONObject([("a", .integer(2))]))),
        ("[[1],{\"x\":[]}]", .array([.array([.integer(1)]), .object(JSONObject([("x", .array([]))]))])),
    ]) func parses(_ text: String, _ expected: JSON) throws {
        #expect(try JSON(parsing: text) == expected)
    }

    @Test(arguments: [
        "", " ", "[", "]", "{", "[1,]", "[1 2]", "{\"a\"}", "{\"a\":}", "{a:1}", "{\"a\":1,}", "01", "-", "1.", ".5", "1e", "+1", "nul",
        "True",
        "\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\\u0000\"", "\"\u{1}\"", "[] []", "1e999",
        "'a'",
    ]) func refuses(_ text: String) {
        #expect(throws: JSONSyntaxError.self) { try JSON(parsing: text) }
    }

    @Test func refusesInvalidUTF8() {
        for bytes in [[0xff], [0xc3], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xe2, 0x82]] as [[UInt8]] {
            #expect(throws: JSONSyntaxError.self) { try JSON(parsing: [0x22] + bytes + [0x22]) }
            #expect(throws: JSONSyntaxError.self) { try JSON(parsing: Array("\"\\n".utf8) + bytes + [0x22]) }
        }
    }

    @Test func boundsNesting() throws {
        let deep = String(repeating: "[", count: 100_000)
        #expect(throws: JSONSyntaxError.self) { try JSON(parsing: deep) }
        #expect(throws: JSONSyntaxError.self) { try JSON(parsing: "[[[]]]", depthLimit: 2) }
        _ = try JSON(parsing: "[[[]]]", depthLimit: 3)
        _ = try JSON(parsing: "[[],[],[[]]]", depthLimit: 3)
    }

    @Test(arguments: [UInt64](1...20)) func roundTrips(seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        for _ in 0..<200 {
            let value = randomJSON(&random, depth: 4)
            #expect(try JSON(parsing: exactBytes(value)) == value, "seed \(seed)")
        }
    }

    /// Strings are their bytes: what Unicode calls equivalent stays distinct.
    @Test func keepsCanonicallyEquivalentKeysApart() throws {
        let object = JSONObject([("\u{e9}", 1), ("e\u{301}", 2)])
        #expect(object.count == 2)
        #expect(object["\u{e9}"] == 1)
        #expect(object["e\u{301}"] == 2)
        #expect(Datum(strings: ["\u{e9}", "e\u{301}"]).count == 2)
    }

    @Test func objectReadsAndWritesMembers() {
        var object = JSONObject([("b", 1), ("a", 2)])
        object["c"] = 3
        object["a"] = nil
        object["b"] = 4
        #expect(JSON.object(object).text == #"{"b":4,"c":3}"#)
        #expect(object["zz"] == nil)
    }
}

@Suite struct JSONFramerTests {
    private let stream = #" {"a":"}{\"\\"} {"b":[{},[1,2,{"c":"]"}]]}{"d":"é"}"#

    @Test func splitsAtEveryByte() throws {
        let bytes = Array(stream.utf8)
        let expected = [try JSON(parsing: #"{"a":"}{\"\\"}"#), try JSON(parsing: #"{"b":[{},[1,2,{"c":"]"}]]}"#), ["d": "é"]]
        for cut in 0...bytes.count {
            var framer = JSONFramer()
            var found: [JSON] = []
            for part in [bytes[..<cut], bytes[cut...]] {
                framer.append(part)
                while let next = try framer.next() { found.append(next) }
            }
            #expect(found == expected)
            #expect(framer.bufferedBytes == 0)
        }
        var framer = JSONFramer()
        var found: [JSON] = []
        for byte in bytes {
            framer.append([byte])
            while let next = try framer.next() { found.append(next) }
        }
        #expect(found == expected)
    }

    @Test(arguments: ["[1]", "x", "1", "\"a\"", "}", "{}]", "{\"a\":}", "{]", "{\"a\":1]"]) func refuses(_ text: String) {
        var framer = JSONFramer()
        framer.append(Array(text.utf8))
        #expect(throws: JSONSyntaxError.self) { while try framer.next() != nil {} }
    }

    @Test func boundsBytesAndDepth() throws {
        var limits = DatabaseLimits()
        limits.messageBytes = 100
        limits.jsonDepth = 5
        var framer = JSONFramer(limits: limits)
        framer.append(Array("{\"a\":\"".utf8) + [UInt8](repeating: 0x61, count: 90))
        #expect(try framer.next() == nil)
        framer.append([UInt8](repeating: 0x61, count: 10))
        #expect(throws: JSONSyntaxError.self) { try framer.next() }
        var deep = JSONFramer(limits: limits)
        deep.append(Array("{\"a\":[[[[[".utf8))
        #expect(throws: JSONSyntaxError.self) { try deep.next() }
    }

    @Test func keepsNothingOfManyMessages() throws {
        var framer = JSONFramer()
        var count = 0
        for _ in 0..<1000 {
            framer.append(Array("{\"id\":1,\"method\":\"echo\",\"params\":[]} {\"x\":".utf8))
            while try framer.next() != nil { count += 1 }
            framer.append(Array("1}\n".utf8))
            while try framer.next() != nil { count += 1 }
        }
        #expect(count == 2000)
        #expect(framer.bufferedBytes == 0)
    }
}
