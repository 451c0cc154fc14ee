import OVSDB
import Testing

/// A schema with every kind of column and constraint.
let testSchemaText = #"""
    {"name":"test","version":"1.0.0","tables":{
    "T":{"columns":{"s":{"type":"string"},"i":{"type":"integer"},"r":{"type":"real"},"b":{"type":"boolean"},"u":{"type":"uuid"},
     "e":{"type":{"key":{"type":"string","enum":["set",["red","green"]]},"min":0,"max":1}},
     "ir":{"type":{"key":{"type":"integer","minInteger":1,"maxInteger":10},"min":0,"max":3}},
     "rr":{"type":{"key":{"type":"real","minReal":1.5,"maxReal":10.5},"min":0,"max":1}},
     "sl":{"type":{"key":{"type":"string","minLength":2,"maxLength":4},"min":0,"max":1}},
     "oi":{"type":{"key":"integer","min":0,"max":1}},
     "si":{"type":{"key":"integer","min":0,"max":"unlimited"}},
     "sr":{"type":{"key":"real","min":0,"max":"unlimited"}},
     "m":{"type":{"key":"string","value":"string","min":0,"max":"unlimited"}},
     "mi":{"type":{"key":"integer","value":"integer","min":0,"max":2}},
     "im":{"type":"string","mutable":false},
     "eph":{"type":"string","ephemeral":true},
     "strong":{"type":{"key":{"type":"uuid","refTable":"C"},"min":0,"max":"unlimited"}},
     "weak":{"type":{"key":{"type":"uuid","refTable":"C","refType":"weak"},"min":0,"max":"unlimited"}},
     "weak1":{"type":{"key":{"type":"uuid","refTable":"W","refType":"weak"},"min":0,"max":1}}
     },"isRoot":true},
    "C":{"columns":{"name":{"type":"string"},"kids":{"type":{"key":{"type":"uuid","refTable":"C"},"min":0,"max":"unlimited"}}},"indexes":[["name"]]},
    "W":{"columns":{"name":{"type":"string"},"must":{"type":{"key":{"type":"uuid","refTable":"C","refType":"weak"},"min":1,"max":2}}},"isRoot":true},
    "I":{"columns":{"a":{"type":"integer"},"b":{"type":{"key":"string","min":0,"max":1}}},"indexes":[["a","b"]],"isRoot":true},
    "M":{"columns":{"a":{"type":"integer"}},"maxRows":2,"isRoot":true}
    }}
    """#

func makeTestSchema() -> DatabaseSchema {
    try! DatabaseSchema(JSON(parsing: testSchemaText))
}

/// Replaces UUIDs that are not recognizably a test's own ("0000...") by "U", so that results can be compared.
func withoutUUIDs(_ json: JSON) -> JSON {
    switch json {
    case .array(let elements): return .array(elements.map(withoutUUIDs))
    case .object(let object):
        return .object(JSONObject(object.members.map { (withoutUUIDs(.string($0.key)).string!, withoutUUIDs($0.value)) }))
    case .string(let text):
        var result = ""
        var rest = text[...]
        while !rest.isEmpty {
            let head = String(rest.prefix(36))
            if UUID(head) != nil {
                result += head.hasPrefix("0000") ? head : "U"
                rest = rest.dropFirst(36)
            } else {
                result.append(rest.removeFirst())
            }
        }
        return .string(result)
    default: return json
    }
}
