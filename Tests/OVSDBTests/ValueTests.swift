import Testing

@testable import OVSDB

private let integerSet = ColumnType(BaseType(.integer), min: 0, max: .max)
private let integerMap = ColumnType(BaseType(.integer), value: BaseType(.integer), min: 0, max: .max)
private let optional = ColumnType(BaseType(.integer), min: 0)

private func randomDatum(_ random: inout RandomSource, _ type: ColumnType) -> Datum {
    let count = random.below(6)
    if type.isMap { return Datum(map: (0..<count).map { _ in (.integer(Int64(random.below(8))), .integer(Int64(random.below(3)))) }) }
    if type.max == 1 { return count == 0 ? .empty : Datum(random.below(4)) }
    return Datum(set: (0..<count).map { _ in .integer(Int64(random.below(8))) })
}

@Suite struct ValueTests {
    @Test func uuidText() {
        let uuid = UUID("550E8400-e29b-41d4-a716-446655440000")
        #expect(uuid?.description == "550e8400-e29b-41d4-a716-446655440000")
        for bad in [
            "", "550e8400", "550e8400-e29b-41d4-a716-44665544000", "550e8400-e29b-41d4-a716-4466554400000",
            "550e8400e29b-41d4-a716-4466-55440000", "g50e8400-e29b-41d4-a716-446655440000",
        ] {
            #expect(UUID(bad) == nil, "\(bad)")
        }
        var generator = UUIDGenerator(seed: 1)
        var seen: Set<UUID> = []
        for _ in 0..<1000 {
            let next = generator.next()
            #expect(next.description.dropFirst(14).first == "4" && "89ab".contains(next.description.dropFirst(19).first!))
            #expect(seen.insert(next).inserted)
            #expect(UUID(next.description) == next)
        }
        var again = UUIDGenerator(seed: 1)
        #expect(seen.contains(again.next()))
    }

    @Test func notation() throws {
        #expect(try Datum(["set", [3, 1, 2]], integerSet).json(integerSet).text == #"["set",[1,2,3]]"#)
        #expect(try Datum(5, integerSet).json(integerSet).text == "5")
        #expect(Datum.empty.json(integerSet).text == #"["set",[]]"#)
        #expect(Datum.empty.json(integerMap).text == #"["map",[]]"#)
        #expect(try Datum(["map", [[2, 3], [1, 9]]], integerMap).json(integerMap).text == #"["map",[[1,9],[2,3]]]"#)
        let real = ColumnType(BaseType(.real))
        #expect(try Datum(100000, real).json(real).text == "100000")
        #expect(try Datum(1e30, real).json(real).text == "1e+30")
        #expect(try Datum(0.1, real).json(real).text == "0.1")
    }

    @Test(arguments: [ColumnType(BaseType(.integer), min: 0, max: .max), integerMap, optional], [UInt64](1...10))
    func differencesApply(type: ColumnType, seed: UInt64) {
        var random = RandomSource(seed: seed)
        for _ in 0..<300 {
            let old = randomDatum(&random, type)
            let new = randomDatum(&random, type)
            #expect(old.applying(difference: old.difference(to: new, type), type) == new, "seed \(seed)")
        }
    }

    @Test(arguments: [UInt64](1...10)) func setAlgebraAgreesWithSets(seed: UInt64) {
        var random = RandomSource(seed: seed)
        for _ in 0..<300 {
            let a = randomDatum(&random, integerSet)
            let b = randomDatum(&random, integerSet)
            let (sa, sb) = (Set(a.integers), Set(b.integers))
            #expect(a.union(b, integerSet) == Datum(integers: sa.union(sb)))
            #expect(a.subtracting(b, integerSet) == Datum(integers: sa.subtracting(sb)))
            #expect(a.includes(b) == sb.isSubset(of: sa))
            #expect(a.excludes(b) == sa.isDisjoint(with: sb))
        }
    }

    @Test func mapAlgebra() {
        let map = Datum(map: [(.integer(1), .integer(2)), (.integer(3), .integer(4))])
        #expect(
            map.union(Datum(map: [(.integer(1), .integer(9)), (.integer(5), .integer(6))]), integerMap).json(integerMap).text
                == #"["map",[[1,2],[3,4],[5,6]]]"#)
        #expect(
            map.subtracting(Datum(map: [(.integer(1), .integer(9)), (.integer(3), .integer(4))]), integerMap).json(integerMap).text
                == #"["map",[[1,2]]]"#)
        #expect(map.subtracting(Datum(integers: [1, 7]), integerMap).json(integerMap).text == #"["map",[[3,4]]]"#)
        #expect(map.includes(Datum(map: [(.integer(1), .integer(2))])) && !map.includes(Datum(map: [(.integer(1), .integer(3))])))
        #expect(map.includes(.empty) && map.excludes(.empty))
    }

    @Test func convenience() {
        let map = Datum(["a": "1", "b": "2"])
        #expect(map["a"] == "1" && map["c"] == nil && map.stringMap == ["a": "1", "b": "2"])
        #expect(Datum("x").string == "x" && Datum("x").integer == nil && Datum(String?.none).isEmpty)
        #expect(Datum(integers: [3, 1]).integers == [1, 3] && Datum(["k": Int64(7)]).integerMap == ["k": 7])
    }

    @Test func checksum() {
        // `printf '123456789' | cksum`
        #expect(posixChecksum(Array("123456789".utf8)) == 930_766_865)
        #expect(SHA1.hexadecimal(Array("abc".utf8)) == "a9993e364706816aba3e25717850c26c9cd0d89d")
        #expect(SHA1.hexadecimal([]) == "da39a3ee5e6b4b0d3255bfef95601890afd80709")
        #expect(SHA1.hexadecimal([UInt8](repeating: 0x61, count: 1_000_000)) == "34aa973cd4c4daa4f61eeb2bdbad27316534016f")
    }
}
