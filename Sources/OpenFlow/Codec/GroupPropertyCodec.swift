// Properties of a group (OpenFlow 1.5 section 7.3.4.3): Netronome's selection method is the only one there is.

internal import Flow

enum GroupPropertyCodec {
    private static let experimenter: UInt16 = 0xffff
    private static let netronome: UInt32 = 0x0000_154d
    /// Written by mistake by Open vSwitch 2.4, and still read.
    private static let netronomeOld: UInt32 = 0x0000_1540
    private static let selectionMethod: UInt32 = 1
    private static let nameBytes = 16

    /// Reads properties until the reader's end.
    static func decode(
        _ reader: inout ByteReader, _ kind: GroupKind, _ command: GroupMod.Command, _ selection: inout GroupSelection?
    ) throws(OpenFlowError) {
        while !reader.isAtEnd {
            var (type, body) = try reader.property()
            guard type == experimenter else { throw OpenFlowError(.bpcBadType, "property \(type) of a group") }
            let vendor = try body.u32()
            let subtype = try body.u32()
            guard vendor == netronome || vendor == netronomeOld else {
                throw OpenFlowError(.bpcBadExperimenter, "experimenter 0x\(String(vendor, radix: 16)) of a group's property")
            }
            guard subtype == selectionMethod else { throw OpenFlowError(.bpcBadExpType, "property \(subtype) of Netronome's for a group") }
            guard kind == .select else { throw OpenFlowError(.bpcBadValue, "a selection method is for select groups") }
            switch command {
            case .add, .modify, .addOrModify: break
            case .delete, .insertBucket, .removeBucket:
                throw OpenFlowError(.bpcBadValue, "a selection method is given when a group is added or modified")
            }
            selection = try decodeSelection(&body)
        }
    }

    private static func decodeSelection(_ body: inout ByteReader) throws(OpenFlowError) -> GroupSelection {
        try body.skip(4)
        let name = try body.array(nameBytes)
        guard let end = name.firstIndex(of: 0) else { throw OpenFlowError(.bpcBadValue, "a selection method without end") }
        var selection = GroupSelection(method: String(decoding: name[..<end], as: UTF8.self), parameter: try body.u64())
        guard selection.method == "hash" || selection.method == "dp_hash" else {
            throw OpenFlowError(.bpcBadValue, "selection method \(selection.method) is neither hash nor dp_hash")
        }
        if selection.method != "hash", !body.isAtEnd { throw OpenFlowError(.bpcBadValue, "selection method dp_hash takes no fields") }
        while !body.isAtEnd {
            let (wire, hasMask, length) = try OXMCodec.decodeHeader(&body)
            // The value is the mask; a mask of its own makes no sense.
            guard !hasMask else { throw OpenFlowError(.bmcBadMask, "\(wire.field.name) in a selection method has a mask beside its value") }
            guard length == wire.byteCount else {
                throw OpenFlowError(.bpcBadLen, "\(wire.field.name) has \(length) bytes, not \(wire.byteCount)")
            }
            let mask = try body.integer(wire.byteCount)
            guard !selection.fields.contains(where: { $0.field == wire.field }) else {
                throw OpenFlowError(.bpcDupType, "\(wire.field.name) comes twice in a selection method")
            }
            guard wire.field.info.isMaskable || mask & wire.field.layout.allOnes == wire.field.layout.allOnes else {
                throw OpenFlowError(.bmcBadMask, "\(wire.field.name) cannot be masked")
            }
            selection.fields.append(.init(wire.field, mask: mask & wire.field.layout.allOnes))
        }
        return selection
    }

    static func encode(_ selection: GroupSelection, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        writer.property(experimenter) { writer in
            writer.u32(netronome)
            writer.u32(selectionMethod)
            writer.u32(0)
            writer.string(selection.method, count: nameBytes)
            writer.u64(selection.parameter)
            for hashed in selection.fields {
                // As an exact value, whose bits are the mask. All ones of the field are all ones on the wire.
                guard let wire = FieldCatalog.header(of: hashed.field, version == .v1_0 ? .nxm : .oxm(version)) else { continue }
                OXMCodec.encodeHeader(wire, hasMask: false, to: &writer)
                let isWhole = hashed.mask == hashed.field.layout.allOnes
                writer.integer(isWhole ? .max : hashed.mask, count: wire.byteCount)
            }
        }
    }
}

extension GroupBucket {
    /// Whether it is alive only while something else is.
    public var hasLiveness: Bool { watchPort != .any || watchGroup != FlowMod.anyGroup }
}
