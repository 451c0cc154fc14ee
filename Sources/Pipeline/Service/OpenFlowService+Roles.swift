// Primary and secondary controllers (OpenFlow 1.3 section 6.3.6).

internal import OpenFlow

extension OpenFlowService {
    func change(role request: RoleMessage, xid: UInt32, on connection: OpenFlowConnection) throws(OpenFlowError) {
        let claims = request.role == .primary || request.role == .secondary
        if claims, let generation = request.generationID {
            // Generations wrap around: newer is a positive distance in 64-bit two's complement.
            if let seen = generationID, Int64(bitPattern: generation &- seen) < 0 {
                throw OpenFlowError(.rrfcStale, "generation \(generation) is older than \(seen)")
            }
            generationID = generation
        }
        if request.role != .noChange, request.role != connection.settings.role {
            if request.role == .primary {
                for other in connections where other !== connection && other.settings.role == .primary { demote(other) }
            }
            connection.settings.role = request.role
            updateBridgeSettings()
            connection.onUpdate?()
            announce(connection, .role)
        }
        if !request.isNicira, (connection.version ?? .v1_0) >= .v1_5, request.shortID != connection.settings.shortID {
            connection.settings.shortID = request.shortID
            announce(connection, .shortID)
        }
        let role = connection.settings.role
        let reply = RoleMessage(
            role: role, generationID: request.isNicira ? nil : generationID ?? .max, shortID: connection.settings.shortID)
        connection.send(.roleReply(reply), xid: xid)
    }

    /// A primary whose place another takes is told so, where the version has words for it.
    private func demote(_ connection: OpenFlowConnection) {
        connection.settings.role = .secondary
        connection.onUpdate?()
        announce(connection, .role)
        if connection.settings.masks.roleStatus >> UInt32(RoleStatus.Reason.primaryRequest.rawValue) & 1 == 0 { return }
        connection.send(.roleStatus(RoleStatus(role: .secondary, reason: .primaryRequest, generationID: generationID ?? .max)))
    }
}
