// What is written to `Controller` rows.

public import OVSDB
internal import OpenFlow

extension Switch {
    /// Writes how controllers are. Rows that are not named are left alone.
    public func publish(_ reports: [UUID: ControllerReport]) {
        for (uuid, report) in reports {
            status.set("Controller", uuid, "is_connected", Datum(report.isConnected))
            status.set("Controller", uuid, "role", report.role.map { Datum(Switch.name(of: $0)) } ?? .empty)
            status.set("Controller", uuid, "status", Datum(report.status.merging(unsupportedStatus(uuid)) { own, _ in own }))
        }
        if !isInRound { flushStatus() }
    }

    /// The schema's word for a role.
    private static func name(of role: ControllerRole) -> String {
        switch role {
        case .equal, .noChange: "other"
        case .primary: "master"
        case .secondary: "slave"
        }
    }
}
