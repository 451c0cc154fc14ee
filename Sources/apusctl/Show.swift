import ArgumentParser
import Client

struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show the switch with its bridges and ports.")
    @OptionGroup var options: GlobalOptions

    func run() throws {
        let directory = options.directory
        options.write(try DatabaseClient(directory).view().report(runDirectory: directory.path))
    }
}
