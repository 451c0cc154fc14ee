// Mirrors: from rows to the bridge, and their counts back.

internal import Flow
internal import Logging
internal import OVSDB
internal import Pipeline

extension Switch {
    /// Makes a bridge's mirrors what is wanted, as far as the ports exist. Called once the bridge's ports are up.
    func applyMirrors(_ wanted: WantedBridge) {
        guard let running = bridges[wanted.name] else { return }
        // A port has one interface that is in force.
        var numbers: [UUID: OpenFlowPort] = [:]
        for interface in running.interfaces.values {
            if let number = interface.number { numbers[interface.port.uuid] = number }
        }
        let all = Set(numbers.values)
        var settings: [MirrorSettings] = []
        for mirror in wanted.mirrors {
            var result = MirrorSettings(identifier: mirror.uuid.description)
            if let output = mirror.outputPort {
                guard let number = numbers[output] else {
                    complain("bridge \(wanted.name): mirror \(mirror.name) outputs to port not on bridge")
                    continue
                }
                result.outputPort = number
            } else if let vlan = mirror.outputVLAN {
                result.outputVLAN = vlan
            } else {
                continue
            }
            result.sources = mirror.selectsAll ? all : Set(mirror.sources.compactMap { numbers[$0] })
            result.destinations = mirror.selectsAll ? all : Set(mirror.destinations.compactMap { numbers[$0] })
            result.vlans = mirror.vlans.isEmpty ? nil : VLANSet(mirror.vlans)
            result.snapLength = mirror.snapLength
            if !mirror.filter.isEmpty {
                do {
                    let filter = try FlowText.parseMatch(mirror.filter)
                    if filter.mask.bits[.inPort] != 0 {
                        complain(
                            "bridge \(wanted.name): mirror \(mirror.name): filter is invalid due to in_port field; select ports instead")
                        continue
                    }
                    result.filter = filter
                } catch {
                    complain("bridge \(wanted.name): mirror \(mirror.name): filter is invalid: \(error)")
                    continue
                }
            }
            settings.append(result)
        }
        if settings.count > PipelineLimits.mirrorsPerBridge {
            complain("bridge \(wanted.name): maximum of \(PipelineLimits.mirrorsPerBridge) port mirrors reached, the rest is left out")
        }
        running.bridge.setMirrors(settings)
    }

    /// Writes what the mirrors counted.
    func publishMirrorStatistics(_ running: RunningBridge) {
        for mirror in running.wanted.mirrors {
            guard let counts = running.bridge.mirrorStatistics(mirror.uuid.description) else { continue }
            status.set(
                "Mirror", mirror.uuid, "statistics",
                Datum(["tx_packets": Int64(clamping: counts.packets), "tx_bytes": Int64(clamping: counts.bytes)]))
        }
    }

    /// Logs a sentence once, until something else was wrong in between.
    private func complain(_ sentence: String) {
        if mirrorComplaints.insert(sentence).inserted { log.error("\(sentence)") }
    }
}
