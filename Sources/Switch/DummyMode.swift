/// What `--enable-dummy` allows: devices in memory and datapath port numbers that follow names, for tests.
public enum DummyMode: Sendable {
    /// Nothing.
    case none
    /// Interfaces of the types `dummy`, `dummy-pmd` and `dummy-internal`, bridges with `datapath_type=dummy`.
    case available
    /// The same, and dummies in the place of `system` interfaces.
    case system
    /// Dummies in the place of all interfaces.
    case override

    /// Whether a dummy takes the place of an interface of this type.
    func replaces(_ type: String) -> Bool {
        switch self {
        case .none, .available: false
        case .system: type.isEmpty || type == "system"
        case .override: type != "patch"
        }
    }
}

extension WantedBridge {
    /// Whether its ports are those of a test's datapath.
    func isDummy(_ mode: DummyMode) -> Bool { mode == .override || mode != .none && datapathType == "dummy" }
}
