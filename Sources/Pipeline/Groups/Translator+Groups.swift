// Sending to groups.
//
// Each bucket is an action set that is carried out on a copy of the packet. Which one of a select group's buckets a packet
// takes may be the datapath's choice: then the translation ends in a `select` with one recirculation id a hash value, and
// the translation of the packet that comes back goes on in that value's bucket.

internal import DatapathAPI
internal import Flow
internal import OpenFlow

/// A group that a translation sent to; `bucket` is nil where all of them got a copy.
struct GroupVisit {
    let group: Group
    let bucket: Int?
}

extension Translator {
    /// Sends the packet to a group. False if there is no such group.
    func send(toGroup id: UInt32) -> Bool {
        dependencies.formUnion(.group(bridge: view.bridge.identifier, group: id))
        guard let group = view.bridge.groupTable(at: version).group(id) else {
            report(.warning, "output to nonexistent group \(id)")
            drop(.outputPortClosed)
            return false
        }
        guard takesStep() else { return true }
        switch group.kind {
        case .all, .indirect:
            for bucket in group.buckets {
                if failure != nil { return true }
                run(bucket)
            }
            groupVisits.append(GroupVisit(group: group, bucket: nil))
        case .fastFailover: run(group, group.buckets.firstIndex { reportsAlive($0) })
        case .select: select(group)
        }
        return true
    }

    private func run(_ group: Group, _ index: Int?) {
        guard let index else {
            report(.detail, "no live bucket")
            drop(.outputPortClosed)
            return
        }
        report(.detail, "using bucket \(group.buckets[index].id)")
        run(group.buckets[index])
        groupVisits.append(GroupVisit(group: group, bucket: index))
    }

    /// Carries a bucket's actions out on a copy.
    private func run(_ bucket: Bucket) {
        isolated {
            if trace != nil { trace = trace!.add(.bucket, "bucket \(bucket.id)") }
            let wasInBucket = isInBucket
            isInBucket = true
            _ = run(bucket.ordered, isTail: false)
            isInBucket = wasInBucket
        }
    }

    // MARK: Liveness

    private func reportsAlive(_ bucket: Bucket) -> Bool {
        if isAlive(bucket.description, depth: 0) { return true }
        report(.detail, "bucket \(bucket.id): not live due to \(watched(bucket.description))")
        return false
    }

    private func watched(_ bucket: GroupBucket) -> String {
        var parts: [String] = []
        if bucket.watchPort != .any { parts.append("port \(TraceText.port(bucket.watchPort))") }
        if bucket.watchGroup != FlowMod.anyGroup { parts.append("group \(bucket.watchGroup)") }
        return parts.joined(separator: " and ")
    }

    /// Whether a bucket may be used: what it watches is alive (OpenFlow 1.3 section 6.5).
    private func isAlive(_ bucket: GroupBucket, depth: Int) -> Bool {
        if !bucket.hasLiveness { return true }
        if bucket.watchPort == .controller {
            if view.settings.hasControllerConnection { return true }
        } else if bucket.watchPort != .any, let port = view.byNumber[bucket.watchPort.rawValue]?.port, port.isLive {
            return true
        }
        guard bucket.watchGroup != FlowMod.anyGroup, depth < PipelineLimits.livenessDepth,
            livenessCount < PipelineLimits.livenessChecks
        else { return false }
        livenessCount += 1
        dependencies.formUnion(.group(bridge: view.bridge.identifier, group: bucket.watchGroup))
        guard let group = view.bridge.groupTable(at: version).group(bucket.watchGroup) else { return false }
        return group.buckets.contains {
            (group.kind != .select || $0.description.weight > 0) && isAlive($0.description, depth: depth + 1)
        }
    }

    // MARK: Select

    private func select(_ group: Group) {
        let hash: UInt64
        switch group.selection {
        case .datapath(let algorithm, let basis, let slots):
            selectInDatapath(group, algorithm, basis, slots)
            return
        case .fields(let fields, let basis):
            var state = SelectSlots.mix(0, basis)
            for hashed in fields where meetsPrerequisites(of: hashed.field) {
                look(hashed.field, bits: hashed.mask)
                let value = RawField.load(key, hashed.field) & hashed.mask
                state = SelectSlots.mix(state, UInt64(truncatingIfNeeded: value))
                if hashed.field.layout.bits > 64 { state = SelectSlots.mix(state, UInt64(truncatingIfNeeded: value >> 64)) }
            }
            hash = state
        case .headers(let basis): hash = symmetricHash(basis)
        }
        var candidates: [(id: UInt32, weight: UInt16)] = []
        var indices: [Int] = []
        for (index, bucket) in group.buckets.enumerated() where bucket.description.weight > 0 && reportsAlive(bucket) {
            candidates.append((bucket.id, bucket.description.weight))
            indices.append(index)
        }
        run(group, SelectSlots.pick(hash, candidates).map { indices[$0] })
    }

    /// A hash of the headers to L4 that is the same in both directions.
    private func symmetricHash(_ basis: UInt64) -> UInt64 {
        lookBytes(FlowOffset.ethDst, 12)
        lookBits16(FlowOffset.vlanTCI, 0x1fff)
        var state = SelectSlots.mix(basis, load48(FlowOffset.ethSrc) ^ load48(FlowOffset.ethDst))
        let etherType = load16(FlowOffset.etherType)
        state = SelectSlots.mix(state, UInt64(etherType) << 16 | UInt64(load16(FlowOffset.vlanTCI) & 0xfff))
        switch etherType {
        case 0x0806:
            lookBytes(FlowOffset.nwSrc, 8)
            return SelectSlots.mix(state, UInt64(load32(FlowOffset.nwSrc) ^ load32(FlowOffset.nwDst)))
        case 0x0800:
            lookBytes(FlowOffset.nwSrc, 8)
            state = SelectSlots.mix(state, UInt64(load32(FlowOffset.nwSrc) ^ load32(FlowOffset.nwDst)))
        case 0x86dd:
            lookBytes(FlowOffset.ipv6Src, 32)
            for part in 0..<4 {
                state = SelectSlots.mix(
                    state, UInt64(load32(FlowOffset.ipv6Src + 4 * part) ^ load32(FlowOffset.ipv6Dst + 4 * part)))
            }
        default: return state
        }
        lookBytes(FlowOffset.nwProto, 1)
        let proto = load8(FlowOffset.nwProto)
        state = SelectSlots.mix(state, UInt64(proto))
        // All fragments of a datagram go the same way; only the first has ports.
        if proto == 6 || proto == 17 || proto == 132, load8(FlowOffset.ipFragment) == 0 {
            lookBytes(FlowOffset.tpSrc, 4)
            state = SelectSlots.mix(state, UInt64(load16(FlowOffset.tpSrc) ^ load16(FlowOffset.tpDst)))
        }
        return state
    }

    /// Leaves the choice to the datapath.
    private func selectInDatapath(_ group: Group, _ algorithm: UInt32, _ basis: UInt32, _ slots: [UInt16]) {
        guard SelectSlots.bucket(slots, 0, isAlive: { reportsAlive(group.buckets[$0]) }) != nil else {
            report(.detail, "no live bucket")
            drop(.outputPortClosed)
            return
        }
        report(.detail, "selection method in use: dp_hash, recirculating")
        commit()
        let metadata = RecirculationContext.metadataWords.map { key.pointee.words[$0] }
        let number = pipeline.recirculations.acquire(
            RecirculationContext(
                bridge: view.bridge.identifier, group: group.id, table: table, rule: rule.map { .init(rule: $0) }, isPacketOut: isPacketOut,
                inActionSet: inActionSet, mirrored: mirrored, metadata: metadata))
        guard number != 0 else {
            fail("no recirculation id is left for group \(group.id)", .recirculationLimit)
            return
        }
        recirculations.append(number)
        let count = UInt32(slots.count)
        actions.append(
            .select(
                algorithm: algorithm, basis: basis,
                recirculations: (0..<count).map { HashedRecirculation(number: number, hash: $0, count: count).id }))
        outputCount += 1
    }

    /// Goes on in the bucket that a hash value of the datapath stands for.
    func resume(_ context: RecirculationContext, hash: UInt32, in topology: Topology) {
        guard let bridge = topology.bridges[context.bridge] else {
            drop(.inputPortClosed)
            return
        }
        view = bridge
        enter(bridge)
        for (index, word) in zip(RecirculationContext.metadataWords, context.metadata) { key.pointee.words[index] = word }
        for word in 40..<FlowKey.wordCount { base.pointee.words[word] = key.pointee.words[word] }
        table = context.table
        rule = context.rule?.rule
        isPacketOut = context.isPacketOut
        inActionSet = context.inActionSet
        mirrored = context.mirrored
        dependencies.formUnion(.group(bridge: bridge.bridge.identifier, group: context.group))
        guard let group = bridge.bridge.groupTable(at: version).group(context.group), group.kind == .select else {
            report(.warning, "group \(context.group) is not a select group any more")
            drop(.outputPortClosed)
            return
        }
        guard case .datapath(_, _, let slots) = group.selection else { return select(group) }
        run(group, SelectSlots.bucket(slots, Int(hash), isAlive: { reportsAlive(group.buckets[$0]) }))
    }
}

extension BridgePort {
    /// Whether it is up and has a link.
    var isLive: Bool { isLinkUp && !configuration.contains(.down) }
}
