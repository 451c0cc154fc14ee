// The control socket, and the commands every daemon has.

internal import Base
internal import Logging

/// Serves a `CommandRegistry` at `apusd.PID.ctl`. Only on the control loop's thread.
public final class ControlServer {
    /// The commands; whoever has something to tell adds to them.
    public let registry = CommandRegistry()
    /// The socket's own thread.
    private let thread: ControlLoop
    private let server: Confined<StreamServer>

    /// - Parameters:
    ///   - program: what `version` answers: name and number.
    ///   - exit: stops the daemon; the argument says whether `--cleanup` was asked for. Called after the answer was sent.
    public init(loop: ControlLoop, path: String, log: LogRegistry, program: String, exit: @escaping (Bool) -> Void) throws(UnixSocketError)
    {
        let gate = registry.gate
        let confined = Confined(registry, to: loop)
        let logger = log.logger("unixctl")
        let thread = ControlLoop(clock: loop.clock)
        self.thread = thread
        do {
            server = try thread.run {
                let server = try StreamServer(loop: thread, path: path, limits: .control, logger: logger) { connection in
                    ControlSession(connection: connection, loop: thread, logger: logger, hasJSON: { gate.hasJSON($0) }) {
                        name, arguments, answer in
                        if let known = gate.answer(name, arguments) { return answer(known) }
                        let call: @Sendable () -> Void = { confined.value.call(name, arguments, answer: answer) }
                        if gate.mayInterrupt(name) { loop.submitUrgently(call) } else { loop.submit(call) }
                    }
                }
                return Confined(server, to: thread)
            }
        } catch let error as UnixSocketError {
            thread.shutDownLater()
            throw error
        } catch {
            fatalError("the control socket cannot be made: \(error)")
        }
        registry.registerAnywhere("list-commands", arguments: 0...0) { (_) throws(CommandError) in gate.list }
        // A connection's own affair: its session answers.
        registry.registerAnywhere("set-options", usage: "[--format text|json]", arguments: 1...2) { (_) throws(CommandError) in "" }
        registry.registerAnywhere("version", arguments: 0...0) { (_) throws(CommandError) in program }
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

    /// Removes the socket and ends the connections. What was answered is still sent.
    public func close() {
        try? thread.run { [server] in server.value.close() }
        thread.shutDownLater()
    }

    private func registerLogCommands(_ log: LogRegistry) {
        let any = 0...Int(Int16.max)
        registry.registerAnywhere(
            "vlog/set", usage: "{spec | PATTERN:destination:pattern}", arguments: any,
            { (words) throws(CommandError) in
                // The field's tools take no words as "everything at debug level" only when one is given; none changes nothing.
                for word in words {
                    if let error = log.set(specification: word) { throw CommandError(error) }
                }
                return ""
            })
        registry.registerAnywhere("vlog/list", arguments: 0...0) { (_) throws(CommandError) in log.list() }
        registry.registerAnywhere("vlog/list-pattern", arguments: 0...0) { (_) throws(CommandError) in log.listPatterns() }
        registry.registerAnywhere(
            "vlog/reopen", arguments: 0...0,
            { (_) throws(CommandError) in
                if let error = log.reopenFile() { throw CommandError(error) }
                return ""
            })
        registry.registerAnywhere(
            "vlog/close", arguments: 0...0,
            { (_) throws(CommandError) in
                log.closeFile()
                return ""
            })
        for (name, isLimited) in [("vlog/enable-rate-limit", true), ("vlog/disable-rate-limit", false)] {
            registry.registerAnywhere(
                name, usage: "[module]...", arguments: any,
                { (modules) throws(CommandError) in
                    if modules.isEmpty { _ = log.setRateLimit(isLimited, module: nil) }
                    for module in modules where !log.setRateLimit(isLimited, module: module) { throw CommandError("unknown module") }
                    return ""
                })
        }
    }

    /// Adds `time/stop` and `time/warp [LARGE] SMALL`, with which tests make hours pass: by LARGE in all (SMALL if it is not
    /// given), in steps of SMALL. At each step whatever is due is done: timers of the control plane, then `maintain`, the
    /// datapath's. The answer comes when all is done.
    public func registerTimeCommands(loop: ControlLoop, maintain: @escaping () -> Void = {}) {
        registry.register("time/stop", arguments: 0...0) { _ in
            loop.clock.stop()
            loop.timeChanged()
            return ""
        }
        registry.register(
            "time/warp", usage: "[large_msecs] msecs", arguments: 1...2,
            deferred: { call in
                let numbers = call.arguments.map { UInt64($0) ?? 0 }
                guard let step = numbers.last, let total = numbers.first, step > 0, total > 0, total <= 1 << 40 else {
                    return call.fail("invalid MSECS")
                }
                ControlServer.warp(Warp(loop: loop, step: step, left: total, maintain: maintain, call: call))
            })
    }

    private struct Warp {
        let loop: ControlLoop
        let step: UInt64
        var left: UInt64
        let maintain: () -> Void
        let call: CommandCall
    }

    /// A step of a warp; the next one follows when the loop has looked at its sockets.
    private static func warp(_ warp: Warp) {
        var warp = warp
        let step = min(warp.step, warp.left)
        warp.left -= step
        warp.loop.clock.warp(milliseconds: step)
        warp.loop.runDueTimers()
        warp.maintain()
        if warp.left == 0 {
            warp.call.reply("warped")
            return warp.loop.timeChanged()
        }
        let next = Confined(warp, to: warp.loop)
        warp.loop.submit { ControlServer.warp(next.value) }
    }
}
