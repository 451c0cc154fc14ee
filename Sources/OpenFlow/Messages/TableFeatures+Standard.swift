// What every table of this switch can do, as table features.

internal import Flow

extension TableFeatures {
    /// The numbers of the standard's actions that are carried out.
    public static func actionTypes(version: OpenFlowVersion) -> [UInt16] {
        var actions: [UInt16] = [
            ActionType.output, ActionType.setMPLSTTL, ActionType.decrementMPLSTTL, ActionType.pushVLAN, ActionType.popVLAN,
            ActionType.pushMPLS, ActionType.popMPLS, ActionType.setQueue, ActionType.setTTL, ActionType.decrementTTL, ActionType.setField,
            ActionType.group,
        ]
        if version == .v1_1 {
            actions.removeAll { $0 == ActionType.setField }
            actions += [
                ActionType.setVLANID, ActionType.setVLANPriority, ActionType.setEthSrc, ActionType.setEthDst, ActionType.setIPv4Src,
                ActionType.setIPv4Dst, ActionType.setTOS, ActionType.setECN, ActionType.setL4Src, ActionType.setL4Dst,
                ActionType.setMPLSLabel, ActionType.setMPLSTC,
            ]
        }
        if version >= .v1_5 { actions.append(ActionType.copyField) }
        return actions
    }

    /// The features of a table that can do all there is.
    ///
    /// - Parameters:
    ///   - lastTable: the highest table that `goto_table` may name.
    ///   - hasGroups: whether groups exist.
    ///   - hasMeters: whether meters exist.
    public static func complete(
        tableID: UInt8, name: String, lastTable: UInt8, maximumEntries: UInt32, version: OpenFlowVersion, hasGroups: Bool, hasMeters: Bool
    ) -> TableFeatures {
        var instructions: [UInt16] = [
            InstructionType.writeMetadata, InstructionType.writeActions, InstructionType.applyActions, InstructionType.clearActions,
        ]
        if tableID < lastTable { instructions.insert(InstructionType.gotoTable, at: 0) }
        if hasMeters, version < .v1_5 { instructions.append(InstructionType.meter) }
        var actions = actionTypes(version: version)
        if !hasGroups { actions.removeAll { $0 == ActionType.group } }
        if hasMeters, version >= .v1_5 { actions.append(ActionType.meter) }
        func ids(_ list: [UInt16]) -> [UInt8] {
            var writer = ByteWriter()
            for id in list {
                writer.u16(id)
                writer.u16(4)
            }
            return writer.bytes
        }
        let next = tableID < lastTable ? Array(tableID + 1...lastTable) : []
        typealias Kind = TableFeatureProperty.Kind
        func property(_ kind: Kind, _ content: [UInt8]) -> TableFeatureProperty {
            TableFeatureProperty(kind: kind.rawValue, content: content)
        }
        let matchFields = FieldCatalog.headers(version: version, hasMask: { $0.info.isMaskable }, where: { $0 != .datapathInPort })
        let anyField = FieldCatalog.headers(version: version, hasMask: { _ in false }, where: { $0 != .datapathInPort })
        let written = FieldCatalog.headers(version: version, hasMask: { _ in false }, where: { $0.info.isWritable })
        return TableFeatures(
            tableID: tableID, name: name, metadataMatch: .max, metadataWrite: .max,
            capabilities: version == .v1_3 ? 0 : TableDescription.evictionBit | TableDescription.vacancyBit,
            maximumEntries: maximumEntries,
            properties: [
                property(.instructions, ids(instructions)), property(.nextTables, next), property(.writeActions, ids(actions)),
                property(.writeSetField, written), property(.applyActions, ids(actions)), property(.applySetField, written),
                property(.match, matchFields), property(.wildcards, anyField),
            ])
    }
}

extension FieldCatalog {
    /// The headers of the chosen fields, one after the other.
    static func headers(version: OpenFlowVersion, hasMask: (Field) -> Bool, where isChosen: (Field) -> Bool) -> [UInt8] {
        var writer = ByteWriter()
        for field in Field.allCases where isChosen(field) {
            if let wire = header(of: field, .oxm(version)) { OXMCodec.encodeHeader(wire, hasMask: hasMask(field), to: &writer) }
        }
        return writer.bytes
    }
}
