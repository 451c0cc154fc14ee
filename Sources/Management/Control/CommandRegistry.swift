// The control commands: what `ovs-appctl` may ask of a running daemon.
//
// Names, usage lines and error texts are the field's: operators' scripts know them.

internal import OVSDB

/// A command that was called, and the way to answer it. Only on the control loop's thread.
public final class CommandCall {
    public let arguments: [String]
    private var answer: ((Result<String, CommandError>) -> Void)?

    init(arguments: [String], answer: @escaping (Result<String, CommandError>) -> Void) {
        self.arguments = arguments
        self.answer = answer
    }

    /// Answers with text. Only the first answer counts; it may come later than the handler's return.
    public func reply(_ text: String) { finish(.success(text)) }

    /// Answers with an error; the client prints it and exits with status 2.
    public func fail(_ text: String) { finish(.failure(CommandError(text))) }

    private func finish(_ result: Result<String, CommandError>) {
        let answer = answer
        self.answer = nil
        answer?(result)
    }
}

/// Why a command failed, in one sentence for whoever typed it.
public struct CommandError: Error, Equatable, CustomStringConvertible {
    public var description: String
    public init(_ description: String) { self.description = description }
}

/// The commands by name. Only on the control loop's thread.
public final class CommandRegistry {
    private struct Command {
        var arguments: ClosedRange<Int>
        var handler: (CommandCall) -> Void
    }

    private var commands: [String: Command] = [:]
    /// What other threads need to know of the commands.
    let gate = CommandGate()

    public init() {}

    /// Adds a command that any thread may run, and that is answered however busy the loop is.
    func registerAnywhere(
        _ name: String, usage: String = "", arguments: ClosedRange<Int>,
        _ handler: @escaping @Sendable ([String]) throws(CommandError) -> String
    ) {
        register(name, usage: usage, arguments: arguments, handler)
        gate.add(name, usage: usage, arguments: arguments) { words in
            do throws(CommandError) { return .success(try handler(words)) } catch { return .failure(error) }
        }
    }

    /// What `list-commands` answers.
    public var list: String { gate.list }

    /// Lets commands that only look run in the midst of other work of the loop.
    func allowInterruption(by names: [String]) { gate.allowInterruption(by: names) }

    /// Adds a command that answers at once. A command of the same name is replaced.
    ///
    /// - Parameters:
    ///   - usage: the arguments, as `list-commands` shows them.
    ///   - arguments: how many there may be.
    public func register(
        _ name: String, usage: String = "", arguments: ClosedRange<Int>, _ handler: @escaping ([String]) throws(CommandError) -> String
    ) {
        register(
            name, usage: usage, arguments: arguments,
            deferred: { call in
                do throws(CommandError) {
                    call.reply(try handler(call.arguments))
                } catch {
                    call.fail(error.description)
                }
            })
    }

    /// Adds a command's answer for clients that want JSON.
    func registerJSON(_ name: String, arguments: ClosedRange<Int>, _ handler: @escaping ([String]) throws(CommandError) -> JSON) {
        register(CommandGate.jsonName(name), arguments: arguments) { (words) throws(CommandError) in
            String(decoding: try handler(words).bytes, as: UTF8.self)
        }
    }

    /// Adds a command that answers when it likes, by the call it is given.
    public func register(_ name: String, usage: String = "", arguments: ClosedRange<Int>, deferred handler: @escaping (CommandCall) -> Void)
    {
        commands[name] = Command(arguments: arguments, handler: handler)
        gate.add(name, usage: usage, arguments: arguments)
    }

    /// Runs a command; `answer` gets its text or error once.
    public func call(_ name: String, _ arguments: [String], answer: @escaping (Result<String, CommandError>) -> Void) {
        let call = CommandCall(arguments: arguments, answer: answer)
        guard let command = commands[name] else {
            return call.fail("\"\(name)\" is not a valid command (use \"list-commands\" to see a list of valid commands)")
        }
        if arguments.count < command.arguments.lowerBound {
            return call.fail("\"\(name)\" command requires at least \(command.arguments.lowerBound) arguments")
        }
        if arguments.count > command.arguments.upperBound {
            return call.fail("\"\(name)\" command takes at most \(command.arguments.upperBound) arguments")
        }
        command.handler(call)
    }
}
