// Groups and meters that actions name.

internal import Flow
internal import OpenFlow

enum ActionReferences {
    enum Reference: Hashable {
        case group(UInt32)
        case meter(UInt32)
    }

    /// Calls `body` for each reference, nested actions' ones included.
    ///
    /// - Parameter countsControllers: whether a meter that limits what goes to controllers counts: a flow is not that meter's.
    static func forEach(_ actions: [Action], countsControllers: Bool = true, _ body: (Reference) -> Void) {
        for action in actions {
            switch action {
            case .group(let id): body(.group(id))
            case .meter(let id): body(.meter(id))
            case .controller(let controller) where countsControllers: if let id = controller.meter { body(.meter(id)) }
            case .clone(let nested), .writeActions(let nested): forEach(nested, countsControllers: countsControllers, body)
            default: break
            }
        }
    }

    /// Throws unless everything that the actions name exists.
    static func check(
        _ actions: [Action], hasGroup: (UInt32) -> Bool, hasMeter: (UInt32) -> Bool
    ) throws(FlowModError) {
        var missing: Reference?
        forEach(actions) { reference in
            let exists =
                switch reference {
                case .group(let id): hasGroup(id)
                case .meter(let id): hasMeter(id)
                }
            if !exists, missing == nil { missing = reference }
        }
        switch missing {
        case .group(let id): throw .badOutGroup(id)
        case .meter(let id): throw .unknownMeter(id)
        case nil: return
        }
    }
}
