// Interfaces: opened, changed in place where that is possible, closed.

internal import Base
internal import Datapath
internal import DatapathAPI
internal import Flow
internal import Logging
public import Netdev
internal import OVSDB
internal import Pipeline

extension Switch {
    /// Takes down what a bridge shall no longer have, and what must be made anew to be different.
    func removeUnwantedInterfaces(_ wanted: WantedBridge) {
        guard let running = bridges[wanted.name] else { return }
        let wantedInterfaces = Dictionary(
            wanted.ports.flatMap(\.interfaces).map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        // Who gets a number that is asked for: who has it, else the first by name.
        var requests: [UInt32: String] = [:]
        for (name, interface) in wantedInterfaces.sorted(by: { $0.key < $1.key }) where name != wanted.name {
            guard let request = interface.ofportRequest else { continue }
            if requests[request] == nil || running.interfaces[name]?.number?.rawValue == request { requests[request] = name }
        }
        for (name, interface) in running.interfaces.sorted(by: { $0.key < $1.key }) {
            guard let now = wantedInterfaces[name] else {
                if !setAside(name, of: wanted.name) { takeDown(name, of: wanted.name) }
                continue
            }
            if interface.failure != nil {
                // Whatever kept it from working may be gone with this change.
                takeDown(name, of: wanted.name)
            } else if let number = interface.number?.rawValue, now.ofportRequest != number, requests[number] != nil, name != wanted.name {
                // Somebody else asks for the number that it only happens to have.
                takeDown(name, of: wanted.name)
            } else if let request = now.ofportRequest, requests[request] != name, request != interface.number?.rawValue,
                interface.number != nil
            {
                // Two ask for one number: who has not got it keeps what it has.
                continue
            } else if needsReopening(interface, now, of: wanted) {
                takeDown(name, of: wanted.name)
            }
        }
    }

    /// Makes what is missing and brings the rest up to date.
    func bringUpInterfaces(_ wanted: WantedBridge) {
        // Whoever asks for a number gets it before anybody else, then whoever had one.
        let ports = (0...2).flatMap { rank in wanted.ports.filter { $0.numberingRank == rank } }
        for port in ports {
            for interface in port.interfaces {
                if bridges[wanted.name]?.interfaces[interface.name] == nil {
                    let moved = moving[interface.name]
                    let opened = open(interface, of: port, on: wanted)
                    applyPolicing(opened, before: opened.datapathPort == moved?.datapathPort ? moved : nil)
                    bridges[wanted.name]?.interfaces[interface.name] = opened
                } else {
                    update(interface, of: port, on: wanted)
                }
            }
        }
    }

    func takeDown(_ name: String, of bridgeName: String) {
        guard let interface = bridges[bridgeName]?.interfaces.removeValue(forKey: name) else { return }
        if let number = interface.number {
            bridges[bridgeName]?.bridge.removePort(number)
            bridges[bridgeName]?.numbers.release(number.rawValue)
        }
        // The datapath gives the queues back (no thread holds one any more) before the device goes.
        if let port = interface.datapathPort { datapath.removePort(port) }
        if let netdev = interface.netdev { elsewhere { netdev.close() } }
        if interface.failure == nil { log.info("bridge \(bridgeName): deleted interface \(name)") }
    }

    // MARK: Moving

    /// Takes an interface off its bridge without closing it, if the round wants it on another bridge, as it is. Nothing of what arrives
    /// meanwhile is lost: it waits in the port's queues.
    func setAside(_ name: String, of bridgeName: String) -> Bool {
        guard isInRound, let interface = bridges[bridgeName]?.interfaces[name], let netdev = interface.netdev,
            let port = interface.datapathPort, let number = interface.number, number != .local, moving[name] == nil,
            let place = places[name], place.bridge.name != bridgeName, place.interface.name != place.bridge.name,
            place.interface.type == interface.wanted.type,
            bridges[bridgeName].map({ $0.wanted.isDummy(dummies) }) == place.bridge.isDummy(dummies)
        else { return false }
        do {
            guard try apply(deviceConfiguration(place.interface, kind: netdev.kind, on: place.bridge), to: netdev) else { return false }
        } catch {
            return false
        }
        datapath.pauseReceiving(port)
        bridges[bridgeName]?.bridge.removePort(number)
        bridges[bridgeName]?.numbers.release(number.rawValue)
        bridges[bridgeName]?.interfaces[name] = nil
        moving[name] = interface
        log.info("bridge \(bridgeName): interface \(name) moves to bridge \(place.bridge.name)")
        return true
    }

    /// Shows an interface that was set aside to its new bridge.
    private func settle(
        _ moved: RunningInterface, _ result: inout RunningInterface, on bridge: WantedBridge
    ) throws(InterfaceFailure) {
        guard let netdev = moved.netdev, let port = moved.datapathPort else { return }
        result.netdev = netdev
        result.datapathPort = port
        result.seenChanges = moved.seenChanges
        do throws(InterfaceFailure) {
            try attach(&result, to: bridge, .datapath(port), address: netdev.hardwareAddress)
        } catch {
            result.netdev = nil
            result.datapathPort = nil
            datapath.removePort(port)
            netdev.close()
            throw error
        }
        if moved.wanted.queueAffinity != result.wanted.queueAffinity {
            do { try datapath.setAffinity(result.wanted.queueAffinity, of: port) } catch { result.affinityFailure = "\(error)" }
        }
        datapath.startReceiving(port)
    }

    /// Closes what was set aside and came nowhere.
    func closeLeftOver() {
        for interface in moving.values {
            if let port = interface.datapathPort { datapath.removePort(port) }
            interface.netdev?.close()
        }
        moving = [:]
        places = [:]
    }

    // MARK: Asking

    /// The type an interface in force was given (`Interface.type`); nil if there is none of that name.
    public func interfaceType(_ name: String) -> String? {
        for running in bridges.values {
            if let interface = running.interfaces[name] { return interface.netdev?.kind.rawValue ?? interface.wanted.type }
        }
        return nil
    }

    /// The type of a bridge's datapath, as the field names it: `netdev`, or one of a test's.
    public func datapathType(ofBridge name: String) -> String {
        guard let type = bridges[name]?.wanted.datapathType else { return "netdev" }
        if dummies == .override { return type.isEmpty ? "system" : type }
        return dummies != .none && type == "dummy" ? "dummy" : "netdev"
    }

    // MARK: Opening

    func open(
        _ wanted: WantedInterface, of port: WantedPort, on bridge: WantedBridge, isRetry: Bool = false
    ) -> RunningInterface {
        var result = RunningInterface(wanted: wanted, port: port)
        do throws(InterfaceFailure) {
            if let refusal = port.refusal { throw InterfaceFailure(refusal) }
            if let owner = bridges.values.first(where: { $0.wanted.name != bridge.name && $0.interfaces[wanted.name] != nil }) {
                throw InterfaceFailure("interface \(wanted.name) is on bridge \(owner.wanted.name) already; an interface has one bridge")
            }
            if wanted.type == "patch" {
                guard let peer = wanted.options["peer"], !peer.isEmpty else {
                    throw InterfaceFailure("\(wanted.name): a patch port needs options:peer, the name of the patch port at the other end")
                }
                guard peer != wanted.name else { throw InterfaceFailure("\(wanted.name): a patch port cannot be its own peer") }
                try attach(&result, to: bridge, .patch(peer: peer), address: stableAddress(of: bridge))
            } else {
                try openDevice(&result, on: bridge)
            }
            failuresSaid[wanted.name] = nil
            log.info("bridge \(bridge.name): added interface \(wanted.name) on port \(result.number.map(portText) ?? "none")")
        } catch {
            if let number = result.number { bridges[bridge.name]?.numbers.release(number.rawValue) }
            result.number = nil
            result.failure = error.sentence
            // Whatever else changes has failed ports tried again: what was said of them still holds.
            if !isRetry, failuresSaid[wanted.name] != error.sentence {
                log.warning("could not open network device \(wanted.name): \(error.sentence)")
                failuresSaid[wanted.name] = error.sentence
            }
        }
        return result
    }

    private func openDevice(_ result: inout RunningInterface, on bridge: WantedBridge) throws(InterfaceFailure) {
        let wanted = result.wanted
        let type = wanted.type.isEmpty && wanted.name == bridge.name ? "internal" : wanted.type
        let isDummyBridge = bridge.isDummy(dummies)
        let asked = PortKind(interfaceType: type == "internal" && isDummyBridge ? "dummy-internal" : type)
        guard let kind = asked, !kind.isDummy || dummies != .none else {
            let known = (PortKind.allCases.filter { !$0.isDummy }.map(\.rawValue) + ["patch"]).sorted().joined(separator: ", ")
            throw InterfaceFailure("\(wanted.name): unknown interface type \"\(type)\"; supported are \(known)")
        }
        if let moved = moving.removeValue(forKey: wanted.name) { return try settle(moved, &result, on: bridge) }
        let netdev: any Port
        let configuration = deviceConfiguration(wanted, kind: kind, on: bridge)
        do throws(PortError) {
            netdev = try waitingElsewhere { () throws(PortError) in try Netdev.open(configuration) }
        } catch {
            throw InterfaceFailure("\(error)")
        }
        do {
            // What arrives before the bridge knows the port would be dropped: it is polled only then.
            let port = try datapath.addPort(
                netdev, name: wanted.name, number: isDummyBridge ? number(following: wanted.name) : nil, affinity: wanted.queueAffinity,
                receives: false)
            result.netdev = netdev
            result.datapathPort = port
            result.seenChanges = netdev.changes
            try attach(&result, to: bridge, .datapath(port), address: netdev.hardwareAddress)
            datapath.startReceiving(port)
        } catch {
            if let port = result.datapathPort { datapath.removePort(port) }
            result.datapathPort = nil
            result.netdev = nil
            netdev.close()
            throw InterfaceFailure("\(error)")
        }
    }

    /// The datapath port number of a test's port: that of the first digits in its name, from 100 on for bridges (`p1` is 1, `br0`
    /// is 100), if it is free.
    private func number(following name: String) -> DatapathPort? {
        guard let first = name.firstIndex(where: { ("0"..."9").contains($0) }),
            let digits = UInt32(name[first...].prefix { ("0"..."9").contains($0) })
        else { return nil }
        let (number, overflow) = digits.addingReportingOverflow(name.hasPrefix("br") ? 100 : 0)
        guard !overflow, number > 0, !datapath.ports().contains(where: { $0.port.rawValue == number }) else { return nil }
        return number < 4096 ? DatapathPort(number) : nil
    }

    /// The open dummy of that name.
    public func dummyPort(_ name: String) -> DummyPort? { dummyPorts().first { $0.name == name } }

    /// All open dummies, by name.
    public func dummyPorts() -> [DummyPort] {
        bridges.values.flatMap { $0.interfaces.values.compactMap { $0.netdev as? DummyPort } }.sorted { $0.name < $1.name }
    }

    /// Gives the interface its number and shows it to the bridge.
    private func attach(
        _ result: inout RunningInterface, to bridge: WantedBridge, _ attachment: PortAttachment, address: HardwareAddress
    ) throws(InterfaceFailure) {
        let wanted = result.wanted
        let number: OpenFlowPort
        if wanted.name == bridge.name {
            number = .local
        } else {
            guard
                let given = bridges[bridge.name]?.numbers.allocate(
                    for: wanted.name, request: wanted.ofportRequest, previous: wanted.previousOfport.value)
            else {
                throw InterfaceFailure("bridge \(bridge.name) has no free OpenFlow port number for \(wanted.name); remove a port first")
            }
            number = OpenFlowPort(given)
        }
        result.number = number
        do {
            let port = bridgePort(result, number: number, attachment: attachment, address: address)
            try bridges[bridge.name]?.bridge.addPort(port)
        } catch {
            // A number that the bridge does not know as this port's must not take another port down later.
            if number != .local { bridges[bridge.name]?.numbers.release(number.rawValue) }
            result.number = nil
            throw InterfaceFailure("\(error)")
        }
    }

    private func deviceConfiguration(_ wanted: WantedInterface, kind: PortKind, on bridge: WantedBridge) -> NetdevConfiguration {
        var directory = runDirectory
        if let sub = globals.vhostSockDir, !sub.isEmpty { directory += "/" + sub }
        var result = NetdevConfiguration(
            name: wanted.name, kind: kind, options: wanted.options, requestedMTU: wanted.mtuRequest,
            requestedAddress: wanted.name == bridge.name ? bridge.hardwareAddress ?? stableAddress(of: bridge) : wanted.macRequest,
            socketDirectory: directory, transmitThreads: datapath.transmitThreads)
        if wanted.name == bridge.name, wanted.mtuRequest == nil { result.requestedMTU = smallestMTU(of: bridge) }
        result.isDummy = kind.isDummy || dummies.replaces(wanted.type)
        result.vhost.offersOffloads = globals.otherConfig["userspace-tso-enable"] != "false"
        result.vhost.offersIOMMU = globals.otherConfig["vhost-iommu-support"] == "true"
        result.vhost.offersPostcopy = globals.otherConfig["vhost-postcopy-support"] == "true"
        return result
    }

    /// What all ports of a bridge can send: the MTU that its own port has unless it asks for another.
    private func smallestMTU(of bridge: WantedBridge) -> Int {
        let smallest =
            bridge.ports.flatMap(\.interfaces).compactMap { interface -> Int? in
                if interface.name == bridge.name || interface.type == "internal" || interface.type == "patch" { return nil }
                return interface.mtuRequest ?? bridges[bridge.name]?.interfaces[interface.name]?.netdev?.mtu
            }.min() ?? NetdevLimits.defaultMTU
        return min(max(smallest, NetdevLimits.mtu.lowerBound), NetdevLimits.mtu.upperBound)
    }

    // MARK: Changing

    private func needsReopening(_ interface: RunningInterface, _ now: WantedInterface, of bridge: WantedBridge) -> Bool {
        // A new row of the same name and type (deleted and added in one transaction) is the same interface.
        if now.type != interface.wanted.type { return true }
        if now.ofportRequest != interface.wanted.ofportRequest, now.name != bridge.name,
            let request = now.ofportRequest, request != interface.number?.rawValue
        {
            return true
        }
        guard let netdev = interface.netdev else { return now.options != interface.wanted.options }
        guard now.differsInDevice(from: interface.wanted) || interface.wanted.name == bridge.name else { return false }
        bridges[bridge.name]?.interfaces[now.name]?.changeFailure = nil
        let configuration = deviceConfiguration(now, kind: netdev.kind, on: bridge)
        do throws(PortError) {
            // Another MTU may want other buffers, which take their time.
            if now.mtuRequest == interface.wanted.mtuRequest { return try !netdev.apply(configuration) }
            return try !apply(configuration, to: netdev)
        } catch {
            // what was there before is kept; the sentence goes to the row
            bridges[bridge.name]?.interfaces[now.name]?.changeFailure = "\(error)"
            return false
        }
    }

    /// Changes an open device where that does not keep others waiting: buffers of another size take long to make.
    private func apply(_ configuration: NetdevConfiguration, to netdev: any Port) throws(PortError) -> Bool {
        try waitingElsewhere { () throws(PortError) in try netdev.apply(configuration) }
    }

    private func update(_ wanted: WantedInterface, of port: WantedPort, on bridge: WantedBridge) {
        guard var interface = bridges[bridge.name]?.interfaces[wanted.name] else { return }
        let old = interface
        interface.wanted = wanted
        interface.port = port
        applyPolicing(interface, before: old)
        if let datapathPort = interface.datapathPort, old.wanted.queueAffinity != wanted.queueAffinity {
            interface.affinityFailure = nil
            do {
                try datapath.setAffinity(wanted.queueAffinity, of: datapathPort)
            } catch {
                interface.affinityFailure = "\(error)"
            }
        }
        bridges[bridge.name]?.interfaces[wanted.name] = interface
        // Whatever changed: the local port's address comes from the bridge's row.
        guard let number = interface.number else { return }
        refreshBridgePort(interface, number: number, on: bridge.name)
    }

    /// Shows the bridge a port's changed VLANs, link or address.
    func refreshBridgePort(_ interface: RunningInterface, number: OpenFlowPort, on bridgeName: String) {
        guard let running = bridges[bridgeName], let known = running.bridge.port(number) else { return }
        let address = interface.netdev?.hardwareAddress ?? HardwareAddress(bits: known.hardwareAddress)
        var fresh = bridgePort(interface, number: number, attachment: known.attachment, address: address)
        fresh.configuration = known.configuration
        if fresh != known { running.bridge.updatePort(number) { $0 = fresh } }
    }

    private func bridgePort(
        _ interface: RunningInterface, number: OpenFlowPort, attachment: PortAttachment, address: HardwareAddress
    ) -> BridgePort {
        let link = interface.netdev?.link()
        let speed = UInt32(clamping: (link?.speed ?? 0) / 1000)
        var port = BridgePort(
            number: number, name: interface.wanted.name, attachment: attachment, hardwareAddress: address.bits,
            vlanMode: interface.port.vlanMode, tag: interface.port.tag,
            trunks: interface.port.trunks.isEmpty ? nil : VLANSet(interface.port.trunks), isLinkUp: link?.isUp ?? true,
            currentSpeedKbps: speed, maximumSpeedKbps: speed)
        port.customerVLANs = interface.port.customerVLANs.isEmpty ? nil : VLANSet(interface.port.customerVLANs)
        port.tunnelEtherType = interface.port.tunnelEtherType
        port.priorityTags = interface.port.priorityTags
        port.isProtected = interface.port.isProtected
        port.queueMarks = interface.port.queueMarks
        port.isDummy = interface.netdev is DummyPort
        return port
    }
}

/// A port number as the database and people write it.
func portText(_ number: OpenFlowPort) -> String { number == .local ? "65534" : String(number.rawValue) }

/// Why an interface does not work: one sentence.
struct InterfaceFailure: Error {
    let sentence: String
    init(_ sentence: String) { self.sentence = sentence }
}

extension WantedInterface {
    /// Whether the device itself must change, as opposed to how the bridge sees it.
    func differsInDevice(from other: WantedInterface) -> Bool {
        type != other.type || options != other.options || mtuRequest != other.mtuRequest || macRequest != other.macRequest
    }
}

extension WantedPort {
    /// Its place when numbers are given out: those that ask for one, then those that had one, then the others.
    var numberingRank: Int {
        if interfaces.contains(where: { $0.ofportRequest != nil }) { return 0 }
        return interfaces.contains { $0.previousOfport.value != nil } ? 1 : 2
    }
}
