// The text syntax of matches, actions, flows, packets: what `ovs-ofctl` accepts and prints.
//
// Reading is forgiving where the field's tools are (any order, old and new spellings, comma or blank between words) and
// strict where they drop things silently: a field that the match's protocol does not have is an error here. Printing
// gives the field's canonical order and spelling, byte for byte, so that scripts written for it keep working.
//
//     FlowText.parseMatch("tcp,nw_dst=10.0.0.0/8")        FlowText.format(match)
//     FlowText.parseActions("mod_nw_dst:1.2.3.4,LOCAL")   FlowText.format(actions)
//     FlowText.parseFlow("table=1,priority=5,ip,actions=drop")
//     FlowText.parsePacket("in_port=1,udp,nw_dst=10.0.0.1")   FlowText.format(packet: key)
//
// Files: `+Values` (one field's value), `+Match`, `+MatchFormat`, `+Actions`, `+ActionFormat`, `FlowSpec` (whole flows),
// `+Packet` (`ofproto/trace`), `FlowTokens` (splitting), `FlowTextError` (errors, suggestions, port names).

/// Text of matches, actions and flows. Static functions without state.
public enum FlowText {
    /// Depth of actions within actions (`clone`, `write_actions`).
    static let nestingLimit = 8
    /// Actions in one list, nested ones included.
    static let actionLimit = 16_384
}
