// One connection of the control socket: JSON-RPC 1.0 as `ovs-appctl` speaks it.
//
// A request is {"id":N,"method":COMMAND,"params":[strings]}, its answer {"id":N,"result":TEXT,"error":null} or
// {"id":N,"error":TEXT}. Text that is not empty ends in a newline. Several requests may follow each other. What is not
// a request ends the connection, with the reason in the log.

internal import Logging
internal import OVSDB

/// Runs commands for one client. Only on the socket's thread.
final class ControlSession: StreamSession {
    private let connection: StreamConnection
    private let loop: ControlLoop
    /// Runs a command somewhere, and answers from there.
    private let run: (String, [String], @escaping CommandGate.Answer) -> Void
    private let logger: Logger
    private var framer: JSONFramer
    /// Commands that are not answered yet.
    private var owed = 0
    /// Whether answers are to be JSON (`set-options --format json`).
    private var wantsJSON = false
    private let hasJSON: (String) -> Bool

    /// A command line is never longer.
    static let requestBytes = 1 << 20

    /// - Parameters:
    ///   - loop: the thread this session belongs to.
    ///   - hasJSON: whether a command has an answer in JSON, under the name of `CommandGate.jsonName`.
    init(
        connection: StreamConnection, loop: ControlLoop, logger: Logger, hasJSON: @escaping (String) -> Bool = { _ in false },
        run: @escaping (String, [String], @escaping CommandGate.Answer) -> Void
    ) {
        self.connection = connection
        self.loop = loop
        self.run = run
        self.hasJSON = hasJSON
        self.logger = logger
        var limits = DatabaseLimits()
        limits.messageBytes = ControlSession.requestBytes
        limits.jsonDepth = 16
        framer = JSONFramer(limits: limits)
    }

    func received(_ bytes: [UInt8]) {
        framer.append(bytes)
        do throws(JSONSyntaxError) {
            while connection.isOpen, let message = try framer.next() { handle(message) }
        } catch {
            refuse("received bad JSON: \(error)")
        }
    }

    private func handle(_ message: JSON) {
        if let fault = ControlSession.fault(of: message) { return refuse("received bad JSON-RPC message: \(fault)") }
        guard let method = message["method"]?.string, let parameters = message["params"]?.array else {
            return refuse("received unexpected reply message")
        }
        guard let id = message["id"], !id.isNull else { return refuse("received unexpected notification message") }
        var arguments: [String] = []
        for parameter in parameters {
            guard let argument = parameter.string else {
                return answer(id, .failure(CommandError("\"\(method)\" command has non-string argument")), .text)
            }
            arguments.append(argument)
        }
        logger.debug("\(connection.name): received command \(method) \(arguments)")
        // The peer may have ended its input; it is answered all the same.
        owed += 1
        connection.owesAnswers = true
        let me = Confined(self, to: loop)
        let loop = loop
        if method == "set-options" { return answer(id, setOptions(arguments), .text) }
        let isJSON = wantsJSON && hasJSON(method)
        let form: Form = isJSON ? .json : wantsJSON ? .wrapped : .text
        run(isJSON ? CommandGate.jsonName(method) : method, arguments) { result in
            // What is answered at once keeps its place before what follows.
            if loop.isCurrent { me.value.answer(id, result, form) } else { loop.submit { me.value.answer(id, result, form) } }
        }
    }

    /// What an answer's text becomes.
    private enum Form {
        case text
        /// It is JSON.
        case json
        /// It is text for somebody who wants JSON.
        case wrapped
    }

    private func setOptions(_ words: [String]) -> Result<String, CommandError> {
        var format: Bool?
        var index = 0
        while index < words.count {
            var word = words[index]
            if word == "--format", index + 1 < words.count {
                index += 1
                word = "--format=" + words[index]
            }
            guard word.hasPrefix("--format=") else { return .failure(CommandError("Failed to parse options: unrecognized option \(word)")) }
            switch word.dropFirst("--format=".count).lowercased() {
            case "text": format = false
            case "json": format = true
            case let other: return .failure(CommandError("option format has invalid value \(other)"))
            }
            index += 1
        }
        guard let format else { return .failure(CommandError("\"set-options\" command requires at least 1 arguments")) }
        wantsJSON = format
        return .success("")
    }

    private func answer(_ id: JSON, _ result: Result<String, CommandError>, _ form: Form) {
        owed -= 1
        defer { connection.owesAnswers = owed > 0 }
        switch result {
        case .success(let text):
            let body: JSON =
                switch form {
                case .text: .string(ControlSession.terminated(text))
                case .json: .serialized(Array(text.utf8))
                case .wrapped: ["reply": .string(text), "reply-format": "plain"]
                }
            connection.send((["id": id, "result": body, "error": .null] as JSON).bytes)
        case .failure(let error):
            connection.send((["id": id, "error": .string(ControlSession.terminated(error.description))] as JSON).bytes)
        }
    }

    private func refuse(_ reason: String) {
        logger.warning("\(connection.name): \(reason)")
        connection.close()
    }

    private static func terminated(_ text: String) -> String { text.isEmpty || text.hasSuffix("\n") ? text : text + "\n" }

    /// What is wrong with the form of a message, in the field's words.
    private static func fault(of message: JSON) -> String? {
        guard let object = message.object else { return "message is not a JSON object" }
        for member in object.members where !["id", "method", "params", "result", "error"].contains(member.key) {
            return "message has unexpected member \"\(member.key)\""
        }
        if let method = object["method"] {
            if method.string == nil { return "method is not a JSON string" }
            guard let parameters = object["params"] else { return "request must have \"params\"" }
            if parameters.array == nil { return "\"params\" must be JSON array" }
            return nil
        }
        return object["result"] == nil && object["error"] == nil ? "message is neither a request nor a reply" : nil
    }
}
