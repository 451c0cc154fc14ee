/// Why a port could not be opened or changed. `description` is the sentence for `Interface.error`.
public enum PortError: Error, Equatable, Sendable, CustomStringConvertible {
    /// DPDK itself could not be initialised.
    case dpdkUnavailable(reason: String)
    /// An option is missing that this kind of port needs.
    case missingOption(port: String, option: String, hint: String)
    /// An option's value cannot be used.
    case invalidOption(port: String, option: String, value: String, valid: String)
    /// The port's name cannot be used for this kind.
    case invalidName(port: String, reason: String)
    /// The device was not found, or did not open.
    case device(port: String, device: String, reason: String)
    /// The device is another port's already.
    case deviceInUse(port: String, device: String, by: String)
    /// No memory for packets.
    case noMemory(reason: String)
    /// The kernel refused.
    case system(port: String, operation: String, reason: String)
    /// A vhost-user socket could not be made.
    case socket(port: String, path: String, reason: String)

    public var description: String {
        switch self {
        case .dpdkUnavailable(let reason): "DPDK cannot be initialised: \(reason)"
        case .missingOption(let port, let option, let hint): "port \(port) needs options:\(option), \(hint)"
        case .invalidOption(let port, let option, let value, let valid):
            "\(option)=\(value) of port \(port) is not valid: it must be \(valid)"
        case .invalidName(let port, let reason): "'\(port)' cannot be the name of such a port: \(reason)"
        case .device(let port, let device, let reason): "cannot open device '\(device)' for port \(port): \(reason)"
        case .deviceInUse(let port, let device, let by): "device '\(device)' for port \(port) is in use by port \(by)"
        case .noMemory(let reason): "no memory for packet buffers: \(reason)"
        case .system(let port, let operation, let reason): "cannot \(operation) for port \(port): \(reason)"
        case .socket(let port, let path, let reason): "cannot open vhost-user socket '\(path)' for port \(port): \(reason)"
        }
    }
}
