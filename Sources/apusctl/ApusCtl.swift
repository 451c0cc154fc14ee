import ArgumentParser

@main
struct ApusCtl: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "apusctl", abstract: "Look at and change a running Apus switch.")
}
