// What is refused before a body is looked at, and what only some versions say; bytes by hand from the specifications.

import OpenFlow
import Testing

@Suite struct FormTests {
    private func code(_ text: String) -> ErrorCode? {
        do throws(OpenFlowError) {
            _ = try Message.decode(hex(text))
            return nil
        } catch {
            return error.code
        }
    }

    /// What is refused before its body is looked at, and what only some versions say.
    @Test func formsOfMessages() throws {
        // OpenFlow 1.0 section 3.4: a flow without wildcards has the highest priority.
        let exact =
            "010e 0048 00000001 00000000 0001" + String(repeating: "00", count: 34)
            + "0000000000000000 0000 0000 0000 0005 ffffffff ffff 0000"
        guard case .flowMod(let mod) = try Message.decode(hex(exact)).message else { return #expect(Bool(false), "not a flow-mod") }
        #expect(mod.priority == 0xffff)
        // Lengths come first: a configuration of eight bytes is none, whatever its flags are.
        #expect(code("0409 0010 00000001 ffffffff ffffffff") == .brcBadLen)
        // A match longer than its message; a packet-out's match with a header in it.
        #expect(code("060d 0018 00000001 ffffffff 0000 0000 0001 0064 00000000") == .bmcBadLen)
        #expect(
            code("060d 0028 00000001 ffffffff 0000 0000 0001 0012 80000004 00000001 80000a02 0800 000000000000") == .brcPipelineFieldsOnly)
        // ONF's bundles are 1.3's; 1.4 has its own.
        #expect(code("0504 0018 00000001 4f4e4600 000008fc 00000001 0000 0003") == .brcBadSubtype)
        #expect(code("0404 0018 00000001 4f4e4600 000008fc 00000001 0000 0003") == nil)
        // Asynchronous configuration: bits that mean nothing; an experimenter's property.
        #expect(code("061c 0010 00000001 0002 0008 00000008") == .acfcInvalid)
        #expect(code("061c 0018 00000001 ffff 0010 00001234 00000001 00000000") == .bpcBadExperimenter)
        #expect(code("061c 0010 00000001 ffff 0008 00001234") == .bpcBadLen)
        // A meter's rates are in one of two units.
        #expect(code("041d 0020 00000001 0000 0000 00000001 0001 0010 00000064 00000000 00000000") == .mmfcBadFlags)
    }
}
