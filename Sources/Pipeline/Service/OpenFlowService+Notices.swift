// What controllers are told of each other, and of tunnels' options.

internal import Flow
internal import OpenFlow

extension OpenFlowService {
    // MARK: Forwarded requests

    /// Tells the other controllers, if they asked for it, of a group-mod or meter-mod that was carried out.
    func forward(_ request: ForwardedRequest, from source: OpenFlowConnection) {
        let reason: UInt32 = if case .group = request { 0 } else { 1 }
        for connection in connections where connection !== source && listens(connection) {
            guard connection.settings.masks.requestForward >> reason & 1 == 1 else { continue }
            connection.sendAsynchronously(.requestForward(request))
        }
    }

    // MARK: Tables

    /// Tells controllers of a table's vacancy.
    func send(_ status: TableStatus) {
        for connection in connections where listens(connection) {
            guard connection.settings.masks.tableStatus >> UInt32(status.reason.rawValue) & 1 == 1 else { continue }
            connection.sendAsynchronously(.tableStatus(status))
        }
    }

    // MARK: Controllers (OpenFlow 1.5 section 7.3.5.19)

    /// The connected controllers, as they are known to each other.
    func controllerStatuses() -> [ControllerStatusEntry] {
        connections.filter { !$0.configuration.isService }.map { status(of: $0, .request) }
    }

    func status(of connection: OpenFlowConnection, _ reason: ControllerStatusEntry.Reason) -> ControllerStatusEntry {
        ControllerStatusEntry(
            shortID: connection.settings.shortID, role: connection.settings.role, reason: reason, isUp: connection.isOpen,
            uri: connection.configuration.name)
    }

    /// Tells every controller that speaks 1.5 what has become of another one.
    func announce(_ connection: OpenFlowConnection, _ reason: ControllerStatusEntry.Reason) {
        if connection.configuration.isService { return }
        let status = status(of: connection, reason)
        for other in connections where other !== connection && listens(other) && other.version == .v1_5 {
            other.sendAsynchronously(.controllerStatus(status))
        }
    }

    // MARK: Geneve options

    func change(_ mod: TLVTableMod) throws(OpenFlowError) {
        var table = optionMaps
        switch mod.command {
        case .clear: table = [:]
        case .delete: for map in mod.maps { table[map.index] = nil }
        case .add:
            for map in mod.maps {
                if table[map.index] != nil { throw OpenFlowError(.nxttmfcAlreadyMapped, "tun_metadata\(map.index) is mapped already") }
                if table.values.contains(where: { $0.optionClass == map.optionClass && $0.optionType == map.optionType }) {
                    throw OpenFlowError(
                        .nxttmfcDupEntry, "option class 0x\(String(map.optionClass, radix: 16)) type \(map.optionType) is mapped already")
                }
                let used = table.values.reduce(0) { $0 + Int($1.optionLength) }
                if used + Int(map.optionLength) > TLVTable.optionSpace {
                    throw OpenFlowError(
                        .nxttmfcTableFull,
                        "options of \(used + Int(map.optionLength)) bytes together; there is room for \(TLVTable.optionSpace)")
                }
                table[map.index] = map
            }
        }
        optionMaps = table
    }
}
