import ArgumentParser
import Client

struct Flow: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Add, remove and list the flows of a bridge.")
}
