// Which OpenFlow port number an interface gets on its bridge.

internal import Flow

/// The numbers of one bridge. A request that is free wins, then the number the interface had before, then the lowest free
/// one that was not given up most recently, so that a controller does not confuse a new port with the one just removed.
struct OpenFlowPortAllocator {
    /// Highest number handed out (`ofport_request` allows up to this).
    static let highest: UInt32 = 65_279

    private var used: [UInt32: String] = [:]
    private var lastAllocated: UInt32 = 0

    /// The number of `name`, new or as before; nil if all are taken.
    mutating func allocate(for name: String, request: UInt32?, previous: UInt32?) -> UInt32? {
        for candidate in [request, previous] {
            guard let candidate, (1...OpenFlowPortAllocator.highest).contains(candidate) else { continue }
            if used[candidate] == nil || used[candidate] == name {
                used[candidate] = name
                return candidate
            }
        }
        for step in 0..<OpenFlowPortAllocator.highest {
            let candidate = (lastAllocated + step) % OpenFlowPortAllocator.highest + 1
            if used[candidate] == nil {
                lastAllocated = candidate
                used[candidate] = name
                return candidate
            }
        }
        return nil
    }

    /// Frees `number`.
    mutating func release(_ number: UInt32) { used[number] = nil }
}
