// The actions that carry more than a value, to the wire.

internal import Flow

extension ActionEncoder {
    func encodeExtension(_ action: Action, to writer: inout ByteWriter) {
        switch action {
        case .resubmitTracked(let port, let table):
            nicira(NiciraAction.resubmitTracked, &writer) {
                $0.u16((port ?? .inPort).wire16)
                $0.u8(table ?? 0xff)
                $0.zeros(3)
            }
        case .pushPBB(let etherType):
            // 1.0 to 1.2 have no PBB.
            guard version >= .v1_3 else { return }
            standard(ActionType.pushPBB, &writer) {
                $0.u16(etherType)
                $0.u16(0)
            }
        case .popPBB: if version >= .v1_3 { standard(ActionType.popPBB, &writer) { $0.zeros(4) } }
        case .copyTTLOut: if version >= .v1_1 { standard(ActionType.copyTTLOut, &writer) { $0.zeros(4) } }
        case .copyTTLIn: if version >= .v1_1 { standard(ActionType.copyTTLIn, &writer) { $0.zeros(4) } }
        case .multipath(let multipath): encode(multipath, &writer)
        case .bundle(let bundle): encode(bundle, &writer)
        case .learn(let learn): encodeLearn(learn, &writer)
        case .finTimeout(let idle, let hard):
            nicira(NiciraAction.finTimeout, &writer) {
                $0.u16(idle)
                $0.u16(hard)
                $0.u16(0)
            }
        case .sample(let sample): encode(sample, &writer)
        case .checkPacketLarger(let length, let target):
            nicira(NiciraAction.checkPacketLarger, &writer) {
                $0.u16(length)
                $0.u16(UInt16(target.offset))
                let start = $0.count
                header(of: target.field, &$0)
                $0.zeros(10 - ($0.count - start))
            }
        case .deleteField(let field):
            nicira(NiciraAction.deleteField, &writer) {
                let start = $0.count
                header(of: field, &$0)
                $0.zeros(14 - ($0.count - start))
            }
        case .encapsulate(let encapsulate): encode(encapsulate, &writer)
        case .decapsulate(let type):
            guard version >= .v1_3 else { return }
            nicira(NiciraAction.decapsulate, &writer) {
                $0.u16(0)
                $0.u32(type.rawValue)
            }
        case .decrementNSHTTL: if version >= .v1_3 { nicira(NiciraAction.decrementNSHTTL, &writer) { $0.zeros(6) } }
        case .connectionTrack(let track): encode(track, &writer)
        case .nat(let nat): encode(nat, &writer)
        case .clearConnectionTrack: nicira(NiciraAction.clearConnectionTrack, &writer) { $0.zeros(6) }
        default: break
        }
    }

    /// `ofs_nbits`.
    private func place(_ field: SubField) -> UInt16 { UInt16(field.offset) << 6 | UInt16(field.bits - 1) }

    private func encode(_ action: MultipathAction, _ writer: inout ByteWriter) {
        nicira(NiciraAction.multipath, &writer) {
            $0.u16(action.fields.rawValue)
            $0.u16(action.basis)
            $0.u16(0)
            $0.u16(action.algorithm.rawValue)
            $0.u16(action.lastLink)
            $0.u32(action.argument)
            $0.u16(0)
            $0.u16(place(action.destination))
            header(of: action.destination.field, &$0)
        }
    }

    private func encode(_ action: BundleAction, _ writer: inout ByteWriter) {
        nicira(action.destination == nil ? NiciraAction.bundle : NiciraAction.bundleLoad, &writer) {
            $0.u16(action.algorithm.rawValue)
            $0.u16(action.fields.rawValue)
            $0.u16(action.basis)
            $0.u32(0x0000_0002)
            $0.u16(UInt16(action.members.count))
            $0.u16(action.destination.map(place) ?? 0)
            if let destination = action.destination { header(of: destination.field, &$0) } else { $0.u32(0) }
            $0.u32(0)
            for member in action.members { $0.u16(member.wire16) }
        }
    }

    private func encode(_ action: SampleAction, _ writer: inout ByteWriter) {
        func number(_ number: ActionNumber, _ writer: inout ByteWriter) {
            switch number {
            case .value(let value):
                writer.u32(0)
                writer.u32(value)
            case .field(let field):
                header(of: field.field, &writer)
                writer.u16(place(field))
                writer.u16(0)
            }
        }
        var subtype = NiciraAction.sample
        if action.samplingPort != nil { subtype = NiciraAction.sample2 }
        if action.direction != .unspecified { subtype = NiciraAction.sample3 }
        nicira(
            {
                if case .value = action.observationDomain, case .value = action.observationPoint { return subtype }
                subtype = NiciraAction.sample4
                return subtype
            }(), &writer
        ) {
            $0.u16(action.probability)
            $0.u32(action.collectorSetID)
            if subtype == NiciraAction.sample4 {
                number(action.observationDomain, &$0)
                number(action.observationPoint, &$0)
            } else if case .value(let domain) = action.observationDomain, case .value(let point) = action.observationPoint {
                $0.u32(domain)
                $0.u32(point)
            }
            if subtype != NiciraAction.sample {
                $0.u16((action.samplingPort ?? .any).wire16)
                $0.u8(action.direction.rawValue)
                $0.zeros(5)
            }
        }
    }

    private func encode(_ action: EncapsulateAction, _ writer: inout ByteWriter) {
        guard version >= .v1_3 else { return }
        nicira(NiciraAction.encapsulate, &writer) {
            $0.u16(action.headerSize)
            $0.u32(action.packetType.rawValue)
            for property in action.properties {
                $0.u16(EncapsulateProperty.nshClass)
                switch property {
                case .mdType(let type):
                    $0.u8(EncapsulateProperty.mdType)
                    $0.u8(5)
                    $0.u8(type)
                    $0.zeros(3)
                case .tlv(let tlvClass, let type, let data):
                    let padded = (data.count + 7) / 8 * 8
                    $0.u8(EncapsulateProperty.tlv)
                    $0.u8(UInt8(truncatingIfNeeded: 8 + padded))
                    $0.u16(tlvClass)
                    $0.u8(type)
                    $0.u8(UInt8(truncatingIfNeeded: data.count))
                    $0.raw(data)
                    $0.zeros(padded - data.count)
                }
            }
        }
    }

    private func encode(_ action: ConnectionTrackAction, _ writer: inout ByteWriter) {
        nicira(NiciraAction.connectionTrack, &writer) {
            $0.u16((action.commits ? ConnectionTrackBits.commit : 0) | (action.forces ? ConnectionTrackBits.force : 0))
            switch action.zone {
            case .value(let zone):
                $0.u32(0)
                $0.u16(zone)
            case .field(let field):
                header(of: field.field, &$0)
                $0.u16(place(field))
            }
            $0.u8(action.table ?? ConnectionTrackBits.noTable)
            $0.zeros(3)
            $0.u16(action.helper)
            encode(action.actions, to: &$0)
        }
    }

    private func encode(_ action: NATAction, _ writer: inout ByteWriter) {
        var present: UInt16 = 0
        switch action.addresses {
        case .none: break
        case .ipv4(_, let last): present |= NATBits.ipv4First | (last != 0 ? NATBits.ipv4Last : 0)
        case .ipv6(_, let last): present |= NATBits.ipv6First | (last != 0 ? NATBits.ipv6Last : 0)
        }
        if action.firstPort != 0 { present |= NATBits.portFirst }
        if action.lastPort != 0 { present |= NATBits.portLast }
        nicira(NiciraAction.nat, &writer) {
            $0.u16(0)
            $0.u16(action.flags.rawValue)
            $0.u16(present)
            switch action.addresses {
            case .none: break
            case .ipv4(let first, let last):
                $0.u32(first)
                if last != 0 { $0.u32(last) }
            case .ipv6(let first, let last):
                $0.integer(first, count: 16)
                if last != 0 { $0.integer(last, count: 16) }
            }
            if action.firstPort != 0 { $0.u16(action.firstPort) }
            if action.lastPort != 0 { $0.u16(action.lastPort) }
        }
    }
}
