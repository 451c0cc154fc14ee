// The error object of RFC 7047 section 3.1, as a Swift error.

/// An error as a client sees it: `{"error": ..., "details": ..., "syntax": ...}`.
///
/// `error` is the string clients decide on ("constraint violation", "timed out", ...); `details` is for people.
public struct OVSDBError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The class of the error; one of the RFC's strings, or ovsdb-server's additions.
    public var error: String
    public var details: String?
    /// The offending piece of JSON, serialized.
    public var syntax: String?

    public init(_ error: String, _ details: String? = nil, syntax: JSON? = nil) {
        self.error = error
        self.details = details
        self.syntax = syntax.map { $0.text }
    }

    /// A "syntax error" about `json`.
    public static func syntax(_ details: String, _ json: JSON? = nil) -> OVSDBError {
        OVSDBError("syntax error", details, syntax: json)
    }
    public static func constraint(_ details: String, _ json: JSON? = nil) -> OVSDBError {
        OVSDBError("constraint violation", details, syntax: json)
    }

    /// The object put into a reply.
    public var json: JSON {
        var members: [(String, JSON)] = [("error", .string(error))]
        if let details { members.append(("details", .string(details))) }
        if let syntax { members.append(("syntax", .string(syntax))) }
        return .object(JSONObject(members))
    }

    /// As the field's tools print errors.
    public var description: String {
        var text = error
        if let details { text += ": " + details }
        return syntax.map { "syntax \"\($0.prefix(200))\": " + text } ?? text
    }
}
