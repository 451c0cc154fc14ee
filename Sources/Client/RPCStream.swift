// JSON-RPC 1.0 from the client's side.

internal import OVSDB

/// Calls over one connection, and the notifications that arrive between the answers.
final class RPCStream {
    private let stream: UnixStream
    private var framer = JSONFramer()
    private var nextID: Int64 = 0

    init(_ stream: UnixStream) { self.stream = stream }

    /// Calls `method` and waits for its answer; notifications that come before it go to `onNotification`.
    ///
    /// - Returns: the result, or the error member, whatever form it has.
    func call(
        _ method: String, _ parameters: [JSON], onNotification: (String, [JSON]) -> Void = { _, _ in }
    ) throws(ClientError) -> Result<JSON, RPCFailure> {
        let id = nextID
        nextID += 1
        try stream.send((["id": .integer(id), "method": .string(method), "params": .array(parameters)] as JSON).bytes)
        while true {
            let message = try receive("answer to \(method)")
            if let notified = message["method"]?.string {
                onNotification(notified, message["params"]?.array ?? [])
                continue
            }
            guard message["id"] == .integer(id) else { continue }
            if let error = message["error"], !error.isNull { return .failure(RPCFailure(error: error)) }
            return .success(message["result"] ?? .null)
        }
    }

    /// The next notification.
    func nextNotification(_ what: String) throws(ClientError) -> (method: String, parameters: [JSON]) {
        while true {
            let message = try receive(what)
            if let method = message["method"]?.string { return (method, message["params"]?.array ?? []) }
        }
    }

    /// The next message that is not the server asking whether this end lives; that is answered here.
    private func receive(_ what: String) throws(ClientError) -> JSON {
        while true {
            if let message = try buffered() {
                guard message["method"] == "echo", let id = message["id"], !id.isNull else { return message }
                try stream.send((["id": id, "result": message["params"] ?? [], "error": .null] as JSON).bytes)
                continue
            }
            let bytes = try stream.receive(what)
            guard !bytes.isEmpty else {
                throw .connection(path: stream.path, reason: "the switch closed the connection before it answered")
            }
            framer.append(bytes)
        }
    }

    private func buffered() throws(ClientError) -> JSON? {
        do throws(JSONSyntaxError) {
            return try framer.next()
        } catch {
            throw .connection(path: stream.path, reason: "what it sends is not JSON-RPC (\(error.message))")
        }
    }
}

/// The error member of an answer.
struct RPCFailure: Error, Equatable {
    var error: JSON

    /// A sentence for people.
    var text: String {
        if let text = error.string { return text }
        let kind = error["error"]?.string ?? error.text
        return error["details"]?.string.map { "\(kind): \($0)" } ?? kind
    }
}
