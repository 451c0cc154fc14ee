// Takes the members of a JSON object one by one, and complains about what is missing, mistyped or left over.

/// What a member may be.
enum MemberKind {
    case any, string, identifier, integer, number, boolean, array, object, nullOrString

    func admits(_ json: JSON) -> Bool {
        switch (self, json) {
        case (.any, _), (.string, .string), (.integer, .integer), (.number, .integer), (.number, .real), (.boolean, .boolean),
            (.array, .array), (.object, .object), (.nullOrString, .string), (.nullOrString, .null):
            true
        case (.identifier, .string(let text)): isIdentifier(text)
        default: false
        }
    }
}

struct MemberReader {
    private let json: JSON
    private let name: String
    private var asked: [StaticString] = []

    /// - Parameter name: what is being parsed, for messages
    init(_ json: JSON, name: String) {
        self.json = json
        self.name = name
    }

    mutating func optional(_ member: StaticString, _ kind: MemberKind) throws(OVSDBError) -> JSON? {
        let key = member.description
        guard let value = json[key] else { return nil }
        asked.append(member)
        guard kind.admits(value) else { throw .syntax("Parsing \(name) failed: Type mismatch for member '\(key)'.", json) }
        return value
    }

    mutating func required(_ member: StaticString, _ kind: MemberKind) throws(OVSDBError) -> JSON {
        guard let value = try optional(member, kind) else {
            throw .syntax("Parsing \(name) failed: Required '\(member)' member is missing.", json)
        }
        return value
    }

    /// Complains about members nobody asked for.
    func finish() throws(OVSDBError) {
        guard let object = json.object, object.count > asked.count else { return }
        let unasked = object.count - asked.count
        for member in object.members where !asked.contains(where: { $0.description == member.key }) {
            let others = unasked == 1 ? " is" : " and \(unasked - 1) other member\(unasked > 2 ? "s" : "") are"
            throw .syntax("Parsing \(name) failed: Member '\(member.key)'\(others) present but not allowed here.", json)
        }
    }
}
