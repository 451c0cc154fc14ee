// The client of the control socket, `apusd.PID.ctl`.

internal import OVSDB

/// Runs control commands on a switch.
public struct ControlClient {
    private let rpc: RPCStream

    public init(_ directory: SwitchDirectory) throws(ClientError) {
        rpc = RPCStream(try UnixStream(path: try directory.controlSocket(), runDirectory: directory.path, deadline: directory.deadline))
    }

    /// Runs one command.
    ///
    /// - Returns: the text it answered.
    /// - Throws: `.refused` with the switch's own words.
    public func run(_ command: String, _ arguments: [String] = []) throws(ClientError) -> String {
        switch try rpc.call(command, arguments.map { .string($0) }) {
        case .success(let result): return result.string ?? result.text
        case .failure(let failure): throw .refused(failure.text.split(separator: "\n").joined(separator: " "))
        }
    }
}
