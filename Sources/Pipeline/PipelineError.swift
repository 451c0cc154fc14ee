// Why the pipeline refused a change of bridges or ports.

public import DatapathAPI
public import Flow

/// Nothing of the change was done.
public enum PipelineError: Error, Equatable, Sendable, CustomStringConvertible {
    case bridgeExists(String)
    case noSuchBridge(String)
    case portExists(String, bridge: String)
    case tooManyPorts(limit: Int, bridge: String)
    case datapathPortTaken(DatapathPort, by: String)
    case badPortNumber(OpenFlowPort)

    public var description: String {
        switch self {
        case .bridgeExists(let name): "bridge \(name) exists already"
        case .noSuchBridge(let name): "bridge \(name) does not exist"
        case .portExists(let name, let bridge): "bridge \(bridge) has a port named \(name) already"
        case .tooManyPorts(let limit, let bridge): "bridge \(bridge) has \(limit) ports already, which is the limit"
        case .datapathPortTaken(let port, let name): "datapath port \(port.rawValue) belongs to port \(name) already"
        case .badPortNumber(let port):
            "port number \(port.rawValue) is not valid: ports are 1 to \(PipelineLimits.highestPortNumber), or LOCAL"
        }
    }
}
