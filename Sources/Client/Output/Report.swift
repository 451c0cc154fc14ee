// What a command tells: the same thing for people and for programs.

public import OVSDB

/// The outcome of a command.
public struct Report: Sendable {
    /// For people; ends in a newline unless empty.
    public var text: String
    /// For programs.
    public var json: JSON

    public init(text: String, json: JSON) {
        self.text = text
        self.json = json
    }

    /// What is printed.
    public func output(asJSON: Bool) -> String { asJSON ? json.text + "\n" : text }
}

extension JSON {
    /// The value, or null.
    init(_ value: String?) { self = value.map { .string($0) } ?? .null }
    init(_ value: Int64?) { self = value.map { .integer($0) } ?? .null }
}
