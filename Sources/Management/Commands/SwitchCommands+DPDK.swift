// What DPDK tells of its memory.

internal import Netdev
internal import Switch

extension SwitchCommands {
    func registerDPDKCommands(on registry: CommandRegistry) {
        registry.register("netdev-dpdk/get-mempool-info", usage: "[netdev]", arguments: 0...1) { (words) throws(CommandError) in
            if let name = words.first {
                guard let type = theSwitch.interfaceType(name) else { throw CommandError("Interface '\(name)' not found") }
                guard type.hasPrefix("dpdk") else { throw CommandError("Netdev \(name) does not belong to DPDK") }
            }
            // pools are shared by all ports with buffers of a size
            return DPDKRuntime.poolDescriptions.joined()
        }
        registry.register("dpdk/get-malloc-stats", arguments: 0...0) { (_) throws(CommandError) in
            guard DPDKRuntime.status != nil else { throw CommandError("DPDK is not initialised: no port has needed it yet") }
            return DPDKRuntime.heapDescription
        }
    }
}
