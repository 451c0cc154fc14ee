// The control socket, and the commands every daemon has.

internal import Base
internal import Logging

/// Serves a `CommandRegistry` at `apusd.PID.ctl`. Only on the control loop's thread.
public final class ControlServer {
    /// The commands; whoever has something to tell adds to them.
    public let registry = CommandRegistry()
    private let server: StreamServer

    /// - Parameters:
    ///   - program: what `version` answers: name and number.
    ///   - exit: stops the daemon; the argument says whether `--cleanup` was asked for. Called after the answer was sent.
    public init(loop: ControlLoop, path: String, log: LogRegistry, program: String, exit: @escaping (Bool) -> Void) throws(UnixSocketError)
    {
        let registry = registry
        let logger = log.logger("unixctl")
        server = try StreamServer(loop: loop, path: path, limits: .control, logger: logger) { connection in
            ControlSession(connection: connection, registry: registry, logger: logger)
        }
        registry.register("list-commands", arguments: 0...0) { [unowned registry] _ in registry.list }
        registry.register("version", arguments: 0...0) { _ in program }
        registry.register("exit", usage: "[--cleanup]", arguments: 0...1) { (arguments) throws(CommandError) in
            guard arguments.isEmpty || arguments == ["--cleanup"] else {
                throw CommandError("\"\(arguments[0])\" is not an option of exit; valid is --cleanup")
            }
            let cleanup = !arguments.isEmpty
            loop.timers.schedule(afterMilliseconds: 0) { exit(cleanup) }
            return ""
        }
        registerLogCommands(log)
    }

    /// Removes the socket and ends the connections.
    public func close() { server.close() }

    private func registerLogCommands(_ log: LogRegistry) {
        registry.register("vlog/set", usage: "{spec | PATTERN:destination:pattern}", arguments: 0...Int(Int16.max)) {
            (words) throws(CommandError) in
            // The field's tools take no words as "everything at debug level" only when one is given; none changes nothing.
            for word in words {
                guard !word.uppercased().hasPrefix("PATTERN:") else {
                    throw CommandError("the log's pattern is fixed; vlog/set takes module:destination:level")
                }
                if let error = log.set(specification: word) { throw CommandError(error) }
            }
            return ""
        }
        registry.register("vlog/list", arguments: 0...0) { _ in log.list() }
        registry.register("vlog/list-pattern", arguments: 0...0) { _ in
            """
                     prefix                            format
                     ------                            ------
            CONSOLE  none                              %D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c|%p|%m
            SYSLOG   none                              apusd|%05N|%c|%p|%m
            FILE     none                              %D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c|%p|%m

            """
        }
        registry.register("vlog/reopen", arguments: 0...0) { (_) throws(CommandError) in
            if let error = log.reopenFile() { throw CommandError(error) }
            return ""
        }
        registry.register("vlog/close", arguments: 0...0) { _ in
            log.closeFile()
            return ""
        }
        for (name, isLimited) in [("vlog/enable-rate-limit", true), ("vlog/disable-rate-limit", false)] {
            registry.register(name, usage: "[module]...", arguments: 0...Int(Int16.max)) { (modules) throws(CommandError) in
                if modules.isEmpty { _ = log.setRateLimit(isLimited, module: nil) }
                for module in modules where !log.setRateLimit(isLimited, module: module) { throw CommandError("unknown module") }
                return ""
            }
        }
    }

    /// Adds `time/stop` and `time/warp MSECS`, with which tests make hours pass.
    public func registerTimeCommands(loop: ControlLoop) {
        registry.register("time/stop", arguments: 0...0) { _ in
            loop.clock.stop()
            loop.timeChanged()
            return ""
        }
        registry.register("time/warp", usage: "[LARGE_MSECS] MSECS", arguments: 1...2) { (arguments) throws(CommandError) in
            guard let milliseconds = UInt64(arguments[0]), milliseconds <= 1 << 40 else { throw CommandError("invalid MSECS") }
            loop.clock.warp(milliseconds: milliseconds)
            loop.timeChanged()
            return "warped"
        }
    }
}
