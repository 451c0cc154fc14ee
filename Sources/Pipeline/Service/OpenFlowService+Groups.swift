// Groups and meters.

internal import Flow
internal import OpenFlow

extension OpenFlowService {
    func apply(_ mod: GroupMod, on connection: OpenFlowConnection) throws(OpenFlowError) {
        do throws(FlowModError) {
            try bridge.apply(mod)
        } catch {
            throw OpenFlowService.wireError(error, connection.version ?? .v1_0)
        }
    }

    func apply(_ mod: MeterMod, on connection: OpenFlowConnection) throws(OpenFlowError) {
        do throws(FlowModError) {
            try bridge.apply(mod)
        } catch {
            throw OpenFlowService.wireError(error, connection.version ?? .v1_0)
        }
    }

    /// What all kinds of groups can do: weights, liveness, chaining without loops; and the actions that buckets take.
    static func groupFeatures(_ version: OpenFlowVersion) -> GroupFeatures {
        // The first version's group extension speaks of that version's own actions, of which all will do.
        let actions = version == .v1_0 ? 0xfff : TableFeatures.actionTypes(version: version).reduce(UInt32(0)) { $0 | 1 << UInt32($1) }
        return GroupFeatures(
            kinds: 0xf, capabilities: 7, maximumGroups: Array(repeating: 0xffff_ff00, count: 4),
            actions: Array(repeating: actions, count: 4))
    }

    func answerGroupsAndMeters(
        _ request: StatsRequest, xid: UInt32, on connection: OpenFlowConnection
    ) throws(OpenFlowError) {
        do throws(FlowModError) {
            switch request {
            case .group(let id): sendParts(.group([]), bridge.groupStatistics(id).map { .group([$0]) }, xid, connection)
            case .groupDescription(let id):
                sendParts(.groupDescription([]), bridge.groupDescriptions(id).map { .groupDescription([$0]) }, xid, connection)
            case .groupFeatures:
                let features = OpenFlowService.groupFeatures(connection.version ?? .v1_3)
                connection.send(.statsReply(.groupFeatures(features), more: false), xid: xid)
            case .meter(let id): sendParts(.meter([]), try bridge.meterStatistics(id).map { .meter([$0]) }, xid, connection)
            case .meterConfig(let id):
                sendParts(.meterConfig([]), try bridge.meterConfigurations(id).map { .meterConfig([$0]) }, xid, connection)
            case .meterFeatures: connection.send(.statsReply(.meterFeatures(Bridge.meterFeatures), more: false), xid: xid)
            default: break
            }
        } catch {
            throw OpenFlowService.wireError(error, connection.version ?? .v1_0)
        }
    }
}
