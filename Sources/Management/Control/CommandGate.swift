// Between the control socket's thread and the control loop.
//
// The socket has a thread of its own, so that a busy control loop cannot keep it from reading. Commands that need nothing of
// the loop are answered there. The others are urgent work of the loop: those that only look run between two messages of whatever
// keeps it busy, or in the midst of a long answer (see `Breath`); those that change something run at the loop's next turn.

internal import Base
internal import Synchronization

/// Takes commands in from another thread.
///
/// ## Thread safety
/// `call` may be used by any thread; commands are added on the control loop's thread.
final class CommandGate: Sendable {
    typealias Answer = @Sendable (Result<String, CommandError>) -> Void
    typealias Handler = @Sendable ([String]) -> Result<String, CommandError>

    private struct Entry {
        var usage: String
        var arguments: ClosedRange<Int>
        /// For commands that any thread may run.
        var handler: Handler?
        var mayInterrupt = false
    }

    private let entries = Mutex<[String: Entry]>([:])

    func add(_ name: String, usage: String, arguments: ClosedRange<Int>, handler: Handler? = nil) {
        entries.withLock { $0[name] = Entry(usage: usage, arguments: arguments, handler: handler) }
    }

    /// Lets commands run in the midst of other work of the loop.
    func allowInterruption(by names: [String]) {
        entries.withLock { entries in for name in names { entries[name]?.mayInterrupt = true } }
    }

    /// What `list-commands` answers.
    var list: String {
        var text = "The available commands are:\n"
        let named = entries.withLock { $0 }.filter { !$0.key.hasSuffix(CommandGate.jsonSuffix) }
        for (name, entry) in named.sorted(by: { $0.key < $1.key }) {
            text += "  " + name + String(repeating: " ", count: max(0, 23 - name.count)) + " " + entry.usage + "\n"
        }
        return text
    }

    private static let jsonSuffix = " (JSON)"

    /// The name of what answers a command in JSON.
    static func jsonName(_ name: String) -> String { name + jsonSuffix }

    /// Whether a command has an answer in JSON.
    func hasJSON(_ name: String) -> Bool { entries.withLock { $0[CommandGate.jsonName(name)] != nil } }

    /// Runs a command on this thread, if any thread may, and its form is right.
    func answer(_ name: String, _ arguments: [String]) -> Result<String, CommandError>? {
        let entry = entries.withLock { $0[name] }
        guard let entry, let handler = entry.handler, entry.arguments.contains(arguments.count) else { return nil }
        return handler(arguments)
    }

    /// Whether a command may run in the midst of other work.
    func mayInterrupt(_ name: String) -> Bool { entries.withLock { $0[name]?.mayInterrupt ?? false } }
}
