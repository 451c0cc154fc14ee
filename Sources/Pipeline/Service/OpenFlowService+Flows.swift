// Flow-mods and bundles.

internal import Base
internal import Flow
public import OpenFlow

extension OpenFlowService {
    /// Carries out one flow-mod.
    func apply(_ mod: FlowMod, on connection: OpenFlowConnection) throws(OpenFlowError) {
        let version = connection.version ?? .v1_0
        let change = try modification(mod, version)
        do throws(FlowModError) {
            try bridge.apply(change)
        } catch {
            throw OpenFlowService.wireError(error, version)
        }
    }

    /// The pipeline's form of a flow-mod.
    private func modification(_ mod: FlowMod, _ version: OpenFlowVersion) throws(OpenFlowError) -> FlowModification {
        let isDelete = mod.command == .delete || mod.command == .deleteStrict
        var table: UInt8? = mod.tableID
        if mod.tableID == 0xff {
            // From 1.1 on "all tables" is for deletes; before, it means that the controller did not say.
            if version >= .v1_1, !isDelete { throw OpenFlowService.badTable(mod.tableID, version) }
            table = nil
        } else if mod.tableID == 254 {
            // It exists, for the switch's own use.
            throw OpenFlowError(.brcEperm, "table 254 is not for controllers")
        } else if Int(mod.tableID) >= PipelineLimits.tableCount {
            throw OpenFlowService.badTable(mod.tableID, version)
        }
        // Nothing is ever buffered. A delete carries no packet, whatever its buffer id says.
        if !isDelete, mod.bufferID != FlowMod.noBuffer { throw OpenFlowError(.brcBufferUnknown, "there is no buffer \(mod.bufferID)") }
        // What only the switch itself numbers, no controller can know.
        if mod.$match.get(.recircID).value != 0 || mod.$match.get(.dpHash).mask != 0 {
            throw OpenFlowError(.brcEperm, "recirc_id and dp_hash are not for controllers to match")
        }
        var change = FlowModification(
            command: OpenFlowService.command(mod.command), table: table, compactMatch: mod.$match, priority: mod.priority,
            cookie: mod.cookie,
            cookieMask: mod.cookieMask, newCookie: mod.newCookie, idleTimeoutSeconds: mod.idleTimeout,
            hardTimeoutSeconds: mod.hardTimeout, importance: mod.importance, flags: FlowModFlags(rawValue: mod.flags.rawValue),
            outPort: mod.outPort == .any ? nil : mod.outPort, outGroup: mod.outGroup == FlowMod.anyGroup ? nil : mod.outGroup,
            // A delete's actions mean nothing.
            actions: isDelete ? [] : mod.actions, modifyAddsIfNone: mod.modifyAddsIfNone, modifyChangesCookie: mod.modifyChangesCookie)
        change.isLenient = version == .v1_0
        return change
    }

    private static func command(_ command: FlowMod.Command) -> FlowModCommand {
        switch command {
        case .add: .add
        case .modify: .modify
        case .modifyStrict: .modifyStrict
        case .delete: .delete
        case .deleteStrict: .deleteStrict
        }
    }

    static func badTable(_ table: UInt8, _ version: OpenFlowVersion) -> OpenFlowError {
        OpenFlowError(
            version == .v1_0 ? .brcBadTableId : .fmfcBadTableId,
            "table \(table) does not exist: tables are 0 to \(PipelineLimits.tableCount - 1)")
    }

    /// The standard's error for what the pipeline refused.
    static func wireError(_ error: FlowModError, _ version: OpenFlowVersion) -> OpenFlowError {
        let code: ErrorCode =
            switch error {
            case .tableFull: .fmfcTableFull
            case .overlap: .fmfcOverlap
            case .badTable: version == .v1_0 ? .brcBadTableId : .fmfcBadTableId
            case .badGotoTable: .bicBadTableId
            case .badOutPort: .bacBadOutPort
            case .badOutGroup: .bacBadOutGroup
            case .unknownMeter: .mmfcInvalidMeter
            case .unsupportedAction: .bacBadType
            case .notWritable: .bacBadSetArgument
            case .matchInconsistent: .bacMatchInconsistent
            case .badArgument: .bacBadArgument
            case .badConjunction: .nxbacBadConjunction
            case .tooManyActions: .bacTooMany
            case .standard(let code, _): code
            }
        return OpenFlowError(code, error.description)
    }

    // MARK: Bundles

    /// A flow-mod of a table that is not for controllers never becomes right.
    public func check(bundled message: Message, on connection: OpenFlowConnection) throws(OpenFlowError) {
        if case .flowMod(let mod) = message { _ = try modification(mod, connection.version ?? .v1_0) }
    }

    /// Carries a bundle out. Its flow-mods and group-mods become visible together, or none of them does; port-mods and packet-outs,
    /// which cannot be taken back, follow once all of these are in.
    public func commit(_ bundle: Bundle, xid: UInt32, on connection: OpenFlowConnection) throws(OpenFlowError) {
        currentSource = connection
        currentXID = xid
        defer {
            currentSource = nil
            flushMonitors()
        }
        try requireWritable(connection)
        let version = connection.version ?? .v1_0
        var changes: [BridgeChange] = []
        defer { changes.dissolve() }
        changes.reserveCapacity(bundle.messages.count)
        // Where each change stands in the bundle, for the error.
        var places: [Int] = []
        // Whether there is anything that cannot be taken back.
        var isMixed = false
        for (index, message) in bundle.messages.enumerated() {
            if index & 127 == 127 { Breath.take() }
            do throws(OpenFlowError) {
                switch message {
                case .flowMod(let mod): changes.append(.flow(try modification(mod, version)))
                case .groupMod(let mod): changes.append(.group(mod))
                case .portMod(let mod):
                    if bundle.flags.contains(.atomic) { throw OpenFlowError(.bfcMsgUnsup, "a port-mod cannot be part of an atomic bundle") }
                    try check(mod)
                    isMixed = true
                    continue
                case .packetOut(let packet):
                    try check(packet)
                    isMixed = true
                    changes.append(.packetOut(packet.actions))
                default: throw OpenFlowError(.bfcMsgUnsup, "a message that cannot be bundled")
                }
                places.append(index)
            } catch {
                try fail(index, error, bundle, connection)
            }
        }
        do throws(BundleError) {
            if isMixed { try bridge.check(changes: changes) } else { try bridge.apply(changes: changes) }
        } catch {
            try fail(places[error.index], OpenFlowService.wireError(error.error, version), bundle, connection)
        }
        if isMixed { try carryOutInOrder(bundle, changes, places, on: connection) }
        for (index, message) in bundle.messages.enumerated() {
            if case .groupMod(let mod) = message {
                forward(.group(mod, xid: Header(bundle.beginning(of: index))?.xid ?? xid), from: connection)
            }
        }
    }

    /// Carries out a bundle with packet-outs or port-mods, of which it is known that it can be: changes up to each of those
    /// become visible together before it.
    private func carryOutInOrder(
        _ bundle: Bundle, _ changes: [BridgeChange], _ places: [Int], on connection: OpenFlowConnection
    ) throws(OpenFlowError) {
        var waiting: [BridgeChange] = []
        var next = 0
        for (index, message) in bundle.messages.enumerated() {
            do throws(OpenFlowError) {
                switch message {
                case .portMod(let mod):
                    try applyWaiting(&waiting, connection)
                    try change(mod)
                case .packetOut(let packet):
                    next += 1
                    try applyWaiting(&waiting, connection)
                    try packetOut(packet, on: connection)
                default:
                    waiting.append(changes[next])
                    next += 1
                }
            } catch {
                try fail(index, error, bundle, connection)
            }
        }
        do throws(OpenFlowError) {
            try applyWaiting(&waiting, connection)
        } catch {
            try fail(places.last ?? 0, error, bundle, connection)
        }
    }

    private func applyWaiting(_ changes: inout [BridgeChange], _ connection: OpenFlowConnection) throws(OpenFlowError) {
        defer { changes.removeAll() }
        if changes.isEmpty { return }
        do throws(BundleError) {
            try bridge.apply(changes: changes)
        } catch {
            throw OpenFlowService.wireError(error.error, connection.version ?? .v1_0)
        }
    }

    /// Reports the message that failed, then the bundle.
    private func fail(_ index: Int, _ error: OpenFlowError, _ bundle: Bundle, _ connection: OpenFlowConnection) throws(OpenFlowError) {
        connection.sendError(error, to: bundle.beginning(of: index))
        throw OpenFlowError(.bfcMsgFailed, "message \(index + 1) of bundle \(bundle.id): \(error.detail)")
    }
}
