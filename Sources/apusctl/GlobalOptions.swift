import ArgumentParser
import Base
import Client

/// What every command takes.
struct GlobalOptions: ParsableArguments {
    @Option(
        name: .customLong("rundir"),
        help: ArgumentHelp("The switch's run directory (default: $OVS_RUNDIR, or else /var/run/apus).", valueName: "dir"),
        completion: .directory)
    var runDirectory: String?

    @Flag(name: .customLong("json"), help: "Output for programs.")
    var isJSON = false

    @Option(name: .customLong("timeout"), help: ArgumentHelp("How long to wait for the switch.", valueName: "seconds"))
    var timeoutSeconds: Double = 10

    func validate() throws {
        guard timeoutSeconds > 0, timeoutSeconds.isFinite else {
            throw ValidationError("--timeout \(timeoutSeconds) is no time to wait; give a number of seconds above 0")
        }
    }

    /// The switch that is meant.
    var directory: SwitchDirectory { SwitchDirectory(path: runDirectory, clock: Clock(), timeoutSeconds: timeoutSeconds) }

    func write(_ report: Report) { Console.write(report.output(asJSON: isJSON)) }

    /// Moves global options that stand before the command behind it, where the parser expects them.
    static func movedBehindCommand(_ arguments: [String]) -> [String] {
        var moved: [String] = []
        var index = 0
        while index < arguments.count, arguments[index].hasPrefix("--") {
            let word = arguments[index]
            if word == "--json" || word.hasPrefix("--rundir=") || word.hasPrefix("--timeout=") {
                moved.append(word)
                index += 1
            } else if (word == "--rundir" || word == "--timeout") && index + 1 < arguments.count {
                moved += [word, arguments[index + 1]]
                index += 2
            } else {
                return arguments
            }
        }
        let rest = Array(arguments[index...])
        // Without a command to take them, the parser had better talk about what is there instead.
        guard isCommand(rest[...], of: ApusCtl.self) else { return rest }
        guard let end = rest.firstIndex(of: "--") else { return rest + moved }
        return rest[..<end] + moved + rest[end...]
    }

    /// Whether the words begin with a whole path to a command that has no further subcommands.
    private static func isCommand(_ words: ArraySlice<String>, of parent: any ParsableCommand.Type) -> Bool {
        let children = parent.configuration.subcommands
        if children.isEmpty { return true }
        guard let word = words.first, let child = children.first(where: { $0._commandName == word }) else { return false }
        return isCommand(words.dropFirst(), of: child)
    }
}
