internal import CDPDK

/// The options of a `dpdk` port that only hardware can follow. Like the field's switch, a port works without them where its device
/// cannot; its status then says so.
struct HardwareOptions: Equatable {
    /// `rx-flow-ctrl`, `tx-flow-ctrl`, `flow-ctrl-autoneg`; nil if none is given: the device keeps what it has.
    var flowControl: FlowControl?
    /// `dpdk-lsc-interrupt`: the device tells by itself when its link changes.
    var interruptsOnLinkChange: Bool
    /// `rx-steering=rss+lacp`: LACP frames come by a queue of their own.
    var steersLACP: Bool
    /// `dpdk-vf-mac`: the address that a representor gives to the function it stands for.
    var functionAddress: HardwareAddress?

    struct FlowControl: Equatable {
        /// Pause frames that come are heeded.
        var heeds: Bool
        /// Pause frames are sent.
        var sends: Bool
        var negotiates: Bool
    }

    /// What is wrong is an error for the address only, as in the field's switch.
    init(_ configuration: NetdevConfiguration) throws(PortError) {
        let options = configuration.options
        func isOn(_ key: String) -> Bool { options[key]?.lowercased() == "true" }
        if options["rx-flow-ctrl"] != nil || options["tx-flow-ctrl"] != nil || options["flow-ctrl-autoneg"] != nil {
            flowControl = FlowControl(heeds: isOn("rx-flow-ctrl"), sends: isOn("tx-flow-ctrl"), negotiates: isOn("flow-ctrl-autoneg"))
        }
        interruptsOnLinkChange = isOn("dpdk-lsc-interrupt")
        steersLACP = options["rx-steering"] == "rss+lacp"
        if let text = options["dpdk-vf-mac"] {
            guard let address = HardwareAddress(text), !address.isMulticast, address.bits != 0 else {
                throw .invalidOption(
                    port: configuration.name, option: "options:dpdk-vf-mac", value: text,
                    valid: "a unicast address such as 52:54:00:00:00:01")
            }
            functionAddress = address
        }
    }

    /// Applies what is set on a started device. Returns sentences about what it cannot do.
    func apply(to port: UInt16, info: cdpdk_port_info) -> [String] {
        var notes: [String] = []
        if let flowControl {
            let set = withReason {
                cdpdk_port_set_flow_control(port, flowControl.heeds, flowControl.sends, flowControl.negotiates, $0, $1)
            }
            if set.result != 0 { notes.append("rx-flow-ctrl, tx-flow-ctrl: \(set.reason)") }
        }
        if interruptsOnLinkChange, !info.can_interrupt {
            notes.append("dpdk-lsc-interrupt: the device has no interrupt for its link, which is asked for instead")
        }
        if let functionAddress {
            if info.is_representor {
                let set = withReason { reason, size in
                    functionAddress.bytes.withUnsafeBufferPointer { cdpdk_port_set_mac(port, $0.baseAddress!, reason, size) }
                }
                if set.result != 0 { notes.append("dpdk-vf-mac: the device does not take \(functionAddress): \(set.reason)") }
            } else {
                notes.append("dpdk-vf-mac: the device is no representor of a virtual function")
            }
        }
        return notes
    }

    /// The pairs of `Interface.status` about them.
    func status(of port: UInt16, queues: Int, notes: [String]) -> [String: String] {
        var status: [String: String] = [:]
        if !notes.isEmpty { status["unsupported"] = notes.joined(separator: "; ") }
        var heeds = false
        var sends = false
        if cdpdk_port_get_flow_control(port, &heeds, &sends) == 0 {
            status["flow_ctrl"] = heeds ? (sends ? "full" : "rx") : sends ? "tx" : "none"
        }
        guard steersLACP else { return status }
        let queue = cdpdk_port_lacp_queue(port)
        if queue == UInt16(CDPDK_NO_QUEUE) {
            status["rx-steering"] = "unsupported"
        } else {
            status["rx-steering"] = "rss+lacp"
            status["rx_steering_queue"] = String(queue)
            status["rss_queues"] = queue > 1 ? "0-\(queue - 1)" : "0"
        }
        return status
    }
}
