// The walk through a bridge's tables.

internal import Classifier
internal import DatapathAPI
internal import Flow
internal import OpenFlow
internal import Synchronization

extension Translator {
    /// Notes that the decision depends on a bridge, and takes the version of its tables.
    func enter(_ view: BridgeView) {
        let identifier = view.bridge.identifier
        dependencies.formUnion(.ports(bridge: identifier))
        if let known = bridgeVersions.first(where: { $0.bridge == identifier }) {
            version = known.version
        } else {
            version = view.bridge.publishedVersion.load(ordering: .acquiring)
            bridgeVersions.append((identifier, version))
        }
    }

    /// Where a list of actions says to go on.
    enum Next {
        case end
        /// The rest of the list is not for this packet.
        case stop
        case table(UInt8, port: OpenFlowPort?, canMissToController: Bool)
    }

    /// Looks a table up and carries out what it says, and the tables that it leads to.
    func runTable(_ first: UInt8, port firstPort: OpenFlowPort?, canMissToController firstCanMiss: Bool) {
        let savedTable = table
        let savedRule = rule
        let savedTrace = trace
        let wasInBucket = isInBucket
        isInBucket = false
        nesting += 1
        // Going back to an earlier table, or to the same one, goes deeper; going forward ends by itself.
        var deepened = 0
        defer {
            nesting -= 1
            depth -= deepened
            isInBucket = wasInBucket
            table = savedTable
            rule = savedRule
            trace = savedTrace
        }
        // The fragment's class is always in the mask.
        if view.settings.fragments == .drop, load8(FlowOffset.ipFragment) != 0 {
            _ = trace?.add(
                .table, "\(first < 10 ? " " : "")\(first). Packets are IP fragments and the fragment handling mode is \"drop\".")
            drop(.policy)
            return
        }
        if nesting > PipelineLimits.translationNesting {
            fail("over max translation depth \(PipelineLimits.translationNesting)", .recursionTooDeep)
            return
        }
        var next = Next.table(first, port: firstPort, canMissToController: firstCanMiss)
        while case .table(let number, let port, let canMiss) = next, failure == nil {
            next = .end
            // The first table of a bridge is where the walk begins.
            if number <= table, rule != nil {
                depth += 1
                deepened += 1
                if depth > PipelineLimits.translationDepth {
                    fail("over max translation depth \(PipelineLimits.translationDepth)", .recursionTooDeep)
                    return
                }
            }
            table = number
            guard takesStep() else { return }
            guard let found = lookup(number, port: port) else {
                if canMiss, view.settings.tableMisses[number] == .nextTable, Int(number) + 1 < PipelineLimits.tableCount {
                    _ = trace?.add(.table, "\(number < 10 ? " " : "")\(number). No match.")
                    next = .table(number + 1, port: port, canMissToController: canMiss)
                    continue
                }
                miss(number, canMissToController: canMiss)
                return
            }
            rule = found
            thawedCookie = nil
            if entryCookie == nil { entryCookie = found.cookie }
            if trace != nil {
                trace = trace!.add(.table, TraceText.rule(found))
                for member in completing { _ = trace!.add(.detail, "conj. " + TraceText.pattern(member)) }
                completing.removeAll()
                if found.actions.isEmpty { _ = trace!.add(.action, "drop") }
            }
            next = run(found.actions, isTail: true)
        }
    }

    /// Counts a step that may lead to further ones; false, with the translation failed, if there were too many.
    func takesStep() -> Bool {
        lookupCount += 1
        if lookupCount <= PipelineLimits.resubmits { return true }
        fail("over \(PipelineLimits.resubmits) resubmit actions", .tooManyResubmits)
        return false
    }

    /// The rule that the packet meets in a table; `port` stands in for the input port during the lookup.
    private func lookup(_ table: UInt8, port: OpenFlowPort?) -> FlowRule? {
        let bridge = view.bridge
        dependencies.formUnion(.table(bridge: bridge.identifier, table: table))
        var found: FlowRule?
        if let classifier = bridge.classifier(table) {
            let savedPort = load32(FlowOffset.inPort)
            if let port { store32(FlowOffset.inPort, port.rawValue) }
            let seen = UnsafeMutableRawPointer(lookupMask).assumingMemoryBound(to: UInt64.self)
            let all = UnsafeMutableRawPointer(looked).assumingMemoryBound(to: UInt64.self)
            let own = UnsafeMutableRawPointer(written).assumingMemoryBound(to: UInt64.self)
            for word in 0..<FlowKey.wordCount { seen[word] = 0 }
            // Handled as "normal", no fragment has ports or types for the tables, the first one neither.
            let isFragment = load8(FlowOffset.ipFragment) != 0 && view.settings.fragments == .normal
            let savedTransport = load32(FlowOffset.tpSrc)
            if isFragment { store32(FlowOffset.tpSrc, 0) }
            found = classifier._withUnsafeGuaranteedRef { classifier in
                if classifier.needsAllMatches.load(ordering: .relaxed) { return lookupConjunctive(classifier) }
                if isNarrow { return lookupStaged(classifier) }
                return classifier.lookup(key, version: version, mask: lookupMask).map {
                    unsafeDowncast($0.takeUnretainedValue(), to: FlowRule.self)
                }
            }
            if isFragment {
                store32(FlowOffset.tpSrc, savedTransport)
                UnsafeMutableRawPointer(lookupMask).storeBytes(of: 0, toByteOffset: FlowOffset.tpSrc, as: UInt32.self)
            }
            for word in 0..<40 { all[word] |= seen[word] & ~own[word] }
            noteRewritten(own, port: load32(FlowOffset.inPort))
            if port != nil { store32(FlowOffset.inPort, savedPort) }
        }
        visits.append(TableVisit(bridge: bridge, table: table, rule: found))
        return found
    }

    /// Notes which words of the key a lookup sees otherwise than they were received.
    @inline(__always) private func noteRewritten(_ own: UnsafePointer<UInt64>, port: UInt32) {
        for word in 0..<40 where own[word] != 0 { rewrittenWords |= 1 << UInt64(word) }
        if port != entryPort || view.bridge.identifier != entryBridge { rewrittenWords |= 1 << UInt64(TableChange.inPortWord) }
    }

    private func miss(_ table: UInt8, canMissToController: Bool) {
        let node = trace?.add(.table, "\(table < 10 ? " " : "")\(table). No match.")
        let inPort = view.byNumber[load32(FlowOffset.inPort)]
        let isSent =
            switch view.settings.tableMisses[table] {
            case nil, .standard: view.settings.sendsTableMissToController
            // Behind the last table there is none to go on in.
            case .toController, .nextTable: true
            case .drop: false
            }
        if canMissToController, isSent, inPort?.port.configuration.contains(.noPacketIn) != true {
            node?.add(.action, "CONTROLLER:65535")
            punt(ControllerAction(reason: .noMatch), cookie: 0, isImplicitMiss: true)
        } else {
            node?.add(.action, "drop")
            drop(.tableMiss)
        }
    }
}
