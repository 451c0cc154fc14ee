import ArgumentParser
import Base
import Client
import OVSDB

struct Watch: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show changes of the configuration and of its status columns as they happen.",
        discussion: """
            One line a row: + added, - removed, ~ changed. With --json one object a line. Until interrupted, or --count or --seconds are over.

            Example: apusctl watch interface port
            """)
    @OptionGroup var options: GlobalOptions
    @Argument(help: "Tables (default: all).") var tables: [String] = []
    @Flag(help: "Counters are changes, too.") var statistics = false
    @Option(help: ArgumentHelp("How many changes to show; 0 is for ever.", valueName: "number")) var count = 0
    @Option(help: ArgumentHelp("How long to look; 0 is for ever.", valueName: "seconds")) var seconds: Double = 0

    func validate() throws {
        guard count >= 0 else { throw ValidationError("--count \(count) is negative; 0 is for ever") }
        guard seconds >= 0, seconds.isFinite else { throw ValidationError("--seconds \(seconds) is no time to look; 0 is for ever") }
    }

    func run() throws {
        let directory = SwitchDirectory(path: options.runDirectory, clock: Clock(), timeoutSeconds: seconds > 0 ? seconds : 1e9)
        let client = try DatabaseClient(directory)
        do throws(ClientError) {
            try client.watch(tables, statistics: statistics, limit: count, show)
        } catch {
            // That is how long it was to be.
            if seconds > 0, case .timedOut = error { return }
            throw error
        }
    }

    private func show(_ event: RowEvent) { options.write(Report(text: event.text, json: event.json)) }
}

struct Wait: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Wait until a row is as wanted.",
        discussion: """
            Ends with status 0 when all conditions hold, and with 4 when --timeout (10 seconds, unless given) is over.

            Examples:
              apusctl wait interface vm1 link_state=up
              apusctl --timeout 60 wait bridge br0
              apusctl wait interface p0 status:reason=
              apusctl wait open_vswitch . dpdk_initialized=true
            """)
    @OptionGroup var options: GlobalOptions
    @Argument(help: "The table.") var table: String
    @Argument(help: "The row's name; . for the only row of Open_vSwitch.") var name: String
    @Argument(help: "Conditions: column=value or column:key=value; without one, that there is such a row.") var conditions: [String] = []

    func run() throws {
        try DatabaseClient(options.directory).wait(table, name, conditions)
        options.write(Report(text: "", json: ["table": .string(table), "name": .string(name), "holds": true]))
    }
}
