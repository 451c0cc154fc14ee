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
                if let error = log.set(specification: word) { throw CommandError(error) }
            }
            return ""
        }
        registry.register("vlog/list", arguments: 0...0) { _ in log.list() }
        registry.register("vlog/list-pattern", arguments: 0...0) { _ in log.listPatterns() }
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
