// Reading `set_field`, `load` and the subfields of `move`, `push` and `pop`.

extension FlowText {
    /// `FROM->TO`, cut at the arrow.
    static func arrow(_ word: FlowToken) throws(FlowTextError) -> (Substring, Substring) {
        let value = word.value
        guard let dash = value.indices.last(where: { value[$0] == ">" && $0 > value.startIndex && value[value.index(before: $0)] == "-" })
        else {
            throw FlowTextError("\(excerpt(word.text)): \"->\" is missing; write \(word.key):VALUE->FIELD")
        }
        return (value[..<value.index(before: dash)], value[value.index(after: dash)...])
    }

    static func fieldNamed(_ name: Substring, in text: Substring) throws(FlowTextError) -> Field {
        if name == "tp_src" { return .tcpSrc }
        if name == "tp_dst" { return .tcpDst }
        guard let field = Field.named(name) else {
            throw FlowTextError(
                "\(excerpt(text)): there is no field \"\(excerpt(name))\"\(Suggestion.hint(for: name, among: Field.byName.keys))")
        }
        return field
    }

    /// `FIELD`, `FIELD[]`, `FIELD[3]` or `FIELD[0..15]`, with any of a field's names.
    static func parseSubField(_ text: Substring, in whole: Substring) throws(FlowTextError) -> SubField {
        let open = text.firstIndex(of: "[") ?? text.endIndex
        let field = try fieldNamed(text[..<open], in: whole)
        // By its usual names the input port has 16 bits.
        let whole16 = field == .inPort && text[..<open] != "OXM_OF_IN_PORT"
        let all = whole16 ? SubField(field: field, offset: 0, bits: 16) : SubField(field)
        if open == text.endIndex { return all }
        guard text.last == "]" else { throw FlowTextError("\(excerpt(whole)): \"]\" is missing after \"\(excerpt(text))\"") }
        let range = text[text.index(after: open)...].dropLast()
        if range.isEmpty { return all }
        let bits = all.bits
        var first = range
        var last = range
        if let dots = range.firstIndex(of: ".") {
            first = range[..<dots]
            last = range[dots...].trimmingPrefix { $0 == "." }
        }
        guard let from = integer(first), let to = integer(last), from <= to, to < UInt128(bits) else {
            throw FlowTextError(
                "\(excerpt(whole)): [\(excerpt(range))] is not a range of bits of \(field.name), which has bits 0 to \(bits - 1)")
        }
        return SubField(field: field, offset: Int(from), bits: Int(to - from) + 1)
    }

    /// Part of a field: `FIELD`, `FIELD[]`, `FIELD[3]` or `FIELD[0..15]`.
    public static func subField(_ text: String) throws(FlowTextError) -> SubField { try parseSubField(text[...], in: text[...]) }

    static func requireWritable(_ field: Field, _ word: FlowToken) throws(FlowTextError) {
        guard field.info.isWritable else { throw FlowTextError("\(excerpt(word.text)): the field \(field.name) cannot be written") }
    }

    static func parseSetField(_ word: FlowToken, ports: PortNames) throws(FlowTextError) -> Action {
        let (text, name) = try arrow(word)
        guard !name.contains("[") else {
            throw FlowTextError("\(excerpt(word.text)): set_field writes whole fields; use load:VALUE->\(name), or a mask")
        }
        let field = try fieldNamed(name, in: word.text)
        try requireWritable(field, word)
        let (value, mask) = try parseValue(field, text, name: String(name), ports: ports)
        guard mask != 0 else { throw FlowTextError("\(excerpt(word.text)): the mask leaves no bit to write") }
        switch field {
        case .vlanVID:
            // A tag stays a tag: the present bit is not the writer's to clear.
            return .setField(field, value: value | 0x1000 & mask, mask: mask, isLoad: false)
        case .nwTOS:
            guard value & 3 == 0 else {
                throw FlowTextError("\(excerpt(word.text)): the two low bits of nw_tos belong to nw_ecn; use a multiple of 4")
            }
        default: break
        }
        return .setField(field, value: value, mask: mask, isLoad: false)
    }

    static func parseLoad(_ word: FlowToken) throws(FlowTextError) -> Action {
        let (text, name) = try arrow(word)
        let target = try parseSubField(name, in: word.text)
        try requireWritable(target.field, word)
        let limit: UInt128 = target.bits == 128 ? .max : (1 << UInt128(target.bits)) - 1
        guard let value = integer(text) else {
            throw FlowTextError("\(excerpt(word.text)): \"\(excerpt(text))\" is not a number like 5 or 0x5")
        }
        guard value <= limit else {
            throw FlowTextError(
                "\(excerpt(word.text)): \(excerpt(text)) does not fit into \(target.bits) bits; the largest is \(hex(limit))")
        }
        return .setField(target.field, value: value << UInt128(target.offset), mask: limit << UInt128(target.offset), isLoad: true)
    }
}
