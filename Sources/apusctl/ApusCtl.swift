// apusctl: look at and change a running switch.
//
// Thin: arguments in, calls to `Client`, text out. Global options may stand before or behind the command's own words.
// Exit status: 0 done; 1 the switch refused or failed; 2 no such bridge, port or field, or a value that cannot be meant;
// 3 no switch to talk to; 4 out of time; 64 the command line is wrong.

import ArgumentParser
import Client
import Glibc

@main
struct ApusCtl: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apusctl", abstract: "Look at and change a running Apus switch.",
        discussion: """
            Every command takes --rundir DIR (the switch's run directory: $OVS_RUNDIR, or else /var/run/apus), --json (output for programs) \
            and --timeout SECONDS, before or after its own words.

            Exit status: 0 done; 1 the switch refused or failed; 2 no such bridge, port or field, or a value that cannot be meant; \
            3 no switch to talk to; 4 out of time; 64 the command line is wrong.

            Shell completion: apusctl --generate-completion-script bash > /etc/bash_completion.d/apusctl (or zsh, or fish).
            """,
        subcommands: [
            Show.self, Bridge.self, Port.self, Interface.self, Mirror.self, QoS.self, Controller.self, Manager.self, Flow.self, FDB.self,
            Datapath.self, PMD.self, Trace.self, Database.self, Export.self, Apply.self, Watch.self, Wait.self,
        ])

    static func main() {
        // Whoever reads the output may stop reading (`apusctl flow dump br0 | head`); that is no crash.
        signal(SIGPIPE, SIG_DFL)
        do {
            var command = try parseAsRoot(GlobalOptions.movedBehindCommand(Array(CommandLine.arguments.dropFirst())))
            try command.run()
        } catch let error as ClientError {
            Console.writeError("apusctl: \(error)\n")
            Glibc.exit(error.exitStatus)
        } catch {
            exit(withError: error)
        }
    }
}
