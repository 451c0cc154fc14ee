// A megaflow's actions as the fast path carries them out: an array of 16-byte operations without references.
//
// Compiling keeps the meaning and prepares it: trailing changes that nobody sees are dropped, the last action that takes the
// packet takes the original and all others copies, a `clone` that changes nothing is dissolved, and a list that
// sends the packet nowhere ends in a drop with its reason.

internal import CDPDK
internal import DatapathAPI
internal import Flow

/// What an operation does. Raw values, so that an operation stays plain memory.
enum ActionCode {
    /// `b` port, `c` most bytes (0: all).
    static var outputMove: UInt8 { @_noLocks @inline(__always) get { 1 } }
    static var outputCopy: UInt8 { @_noLocks @inline(__always) get { 2 } }
    /// `c` points to a `SetOperand`.
    static var set: UInt8 { @_noLocks @inline(__always) get { 3 } }
    /// `a` TPID, `b` TCI.
    static var pushVLAN: UInt8 { @_noLocks @inline(__always) get { 4 } }
    static var popVLAN: UInt8 { @_noLocks @inline(__always) get { 5 } }
    /// `a` EtherType, `b` label stack entry.
    static var pushMPLS: UInt8 { @_noLocks @inline(__always) get { 6 } }
    static var popMPLS: UInt8 { @_noLocks @inline(__always) get { 7 } }
    /// `b` token, `a` most bytes.
    static var puntMove: UInt8 { @_noLocks @inline(__always) get { 8 } }
    static var puntCopy: UInt8 { @_noLocks @inline(__always) get { 9 } }
    /// `b` id.
    static var recirculateMove: UInt8 { @_noLocks @inline(__always) get { 10 } }
    static var recirculateCopy: UInt8 { @_noLocks @inline(__always) get { 11 } }
    /// `b` operations that follow are for a copy.
    static var clone: UInt8 { @_noLocks @inline(__always) get { 12 } }
    /// `a` reason.
    static var drop: UInt8 { @_noLocks @inline(__always) get { 13 } }
    /// All of the destination or source address; `c` holds the six bytes in wire order, low byte first.
    static var setEthernetDestination: UInt8 { @_noLocks @inline(__always) get { 14 } }
    static var setEthernetSource: UInt8 { @_noLocks @inline(__always) get { 15 } }
    /// `b` meter.
    static var meter: UInt8 { @_noLocks @inline(__always) get { 32 } }
    /// One of several ids; `c` points to them, `a` is their number less one, `b` the hash's basis, `flags` whether it is symmetric.
    static var selectMove: UInt8 { @_noLocks @inline(__always) get { 33 } }
    static var selectCopy: UInt8 { @_noLocks @inline(__always) get { 34 } }
    /// All of both: the destination in `a` and `b`, the source in `c`, each in wire order, low byte first. What routing does
    /// fits an entry's line with its output.
    static var setEthernetAddresses: UInt8 { @_noLocks @inline(__always) get { 16 } }
    /// All of the TTL or hop limit; `ActionOp.ttl` holds it.
    static var setTTL: UInt8 { @_noLocks @inline(__always) get { 17 } }
    /// `b` tag.
    static var pushPBB: UInt8 { @_noLocks @inline(__always) get { 40 } }
    static var popPBB: UInt8 { @_noLocks @inline(__always) get { 41 } }
    static var copyTTLOut: UInt8 { @_noLocks @inline(__always) get { 42 } }
    static var copyTTLIn: UInt8 { @_noLocks @inline(__always) get { 43 } }
    /// `a` bytes to put in front of the packet; `c` points to them.
    static var prepend: UInt8 { @_noLocks @inline(__always) get { 45 } }
    /// `a` bytes to take off its front.
    static var strip: UInt8 { @_noLocks @inline(__always) get { 46 } }
    static var stripNSH: UInt8 { @_noLocks @inline(__always) get { 47 } }
    /// `b` operations that follow are for packets longer than `a`, the rest of the list for the others.
    static var branch: UInt8 { @_noLocks @inline(__always) get { 44 } }
}

/// One operation, 16 bytes.
struct ActionOp {
    var code: UInt8
    var flags: UInt8 = 0
    var a: UInt16 = 0
    var b: UInt32 = 0
    var c: UInt64 = 0

    /// In `flags` of the operations that set addresses: the TTL is set too.
    static var setsTTL: UInt8 { @_noLocks @inline(__always) get { 1 } }
    /// The TTL to set, in the top byte of `c`, which addresses leave free.
    var ttl: UInt8 { @_noLocks @inline(__always) get { UInt8(truncatingIfNeeded: c >> 56) } }
}

/// What `ActionCode.set` writes, or the 32 bytes at most that `ActionCode.prepend` puts where `value` and `mask` are.
struct SetOperand {
    var value: UInt128
    var mask: UInt128
    var field: Field
}

/// A compiled list. Owns its memory until `deallocate`.
struct ActionProgram {
    let ops: UnsafeMutablePointer<ActionOp>
    let count: Int
    let operands: UnsafeMutablePointer<SetOperand>?
    /// `EntryFlag.simple` or 0.
    let flags: UInt8

    func deallocate() {
        ops.deallocate()
        operands?.deallocate()
    }

    init(compiling actions: [DatapathAction]) {
        var builder = Builder()
        builder.emit(actions, level: 0)
        builder.finish()
        // Addresses of operands are known only now.
        let operandMemory: UnsafeMutablePointer<SetOperand>?
        // Behind the operands, in the same piece of memory, the ids that selections choose from.
        var idMemory: UnsafeMutablePointer<UInt32>?
        if builder.operands.isEmpty, builder.ids.isEmpty {
            operandMemory = nil
        } else {
            let operandBytes = builder.operands.count * MemoryLayout<SetOperand>.stride
            let raw = UnsafeMutableRawPointer.allocate(
                byteCount: operandBytes + builder.ids.count * 4, alignment: MemoryLayout<SetOperand>.alignment)
            let memory = raw.bindMemory(to: SetOperand.self, capacity: builder.operands.count)
            memory.initialize(from: builder.operands, count: builder.operands.count)
            operandMemory = memory
            let ids = (raw + operandBytes).bindMemory(to: UInt32.self, capacity: builder.ids.count)
            ids.initialize(from: builder.ids, count: builder.ids.count)
            idMemory = ids
        }
        let memory = UnsafeMutablePointer<ActionOp>.allocate(capacity: builder.ops.count)
        memory.initialize(from: builder.ops, count: builder.ops.count)
        if let operandMemory {
            for index in 0..<builder.ops.count
            where memory[index].code == ActionCode.set || memory[index].code == ActionCode.prepend {
                memory[index].c = UInt64(UInt(bitPattern: operandMemory + Int(memory[index].b)))
            }
        }
        if let idMemory {
            for index in 0..<builder.ops.count
            where memory[index].code == ActionCode.selectCopy || memory[index].code == ActionCode.selectMove {
                memory[index].c = UInt64(UInt(bitPattern: idMemory + Int(memory[index].c)))
            }
        }
        ops = memory
        count = builder.ops.count
        operands = operandMemory
        flags = (builder.isSimple ? EntryFlag.simple : 0) | builder.lightness
    }

    private struct Builder {
        var ops: [ActionOp] = []
        var operands: [SetOperand] = []
        var ids: [UInt32] = []
        var reason = DropReason.policy
        var truncation: UInt32 = 0
        var isSimple = false
        /// Whether it is an output of the whole packet, after at most one rewrite of addresses and TTL.
        var lightness: UInt8 {
            guard isSimple, ops.count <= FlowLayout.inlineOps, let last = ops.last, last.code == ActionCode.outputMove, last.c == 0 else {
                return 0
            }
            if ops.count == 1 { return EntryFlag.light | EntryFlag.plain }
            return ActionProgram.rewritesAddresses(ops[0].code) || ops[0].code == ActionCode.setTTL ? EntryFlag.light : 0
        }
        /// Operations before this one belong to another list (`clone`): nothing is merged into them.
        var listStart = 0

        mutating func emit(_ actions: [DatapathAction], level: Int) {
            for action in actions {
                switch action {
                case .output(let port):
                    ops.append(ActionOp(code: ActionCode.outputCopy, b: port.rawValue, c: UInt64(truncation)))
                    truncation = 0
                case .set(let field, let value, let mask):
                    emitSet(field, value, mask)
                case .pushVLAN(let tpid, let tci):
                    ops.append(ActionOp(code: ActionCode.pushVLAN, a: tpid, b: UInt32(tci)))
                case .popVLAN:
                    ops.append(ActionOp(code: ActionCode.popVLAN))
                case .pushMPLS(let etherType, let entry):
                    ops.append(ActionOp(code: ActionCode.pushMPLS, a: etherType, b: entry))
                case .popMPLS(let etherType):
                    ops.append(ActionOp(code: ActionCode.popMPLS, a: etherType))
                case .pushPBB(let tag): ops.append(ActionOp(code: ActionCode.pushPBB, b: tag))
                case .popPBB: ops.append(ActionOp(code: ActionCode.popPBB))
                case .pushEthernet(let destination, let source, let type):
                    let parts: [(UInt64, Int)] = [(destination, 6), (source, 6), (UInt64(type), 2)]
                    emitPrepend(
                        parts.flatMap { value, count in
                            (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - 1 - $0))) }
                        })
                case .pushNSH(let bytes): emitPrepend(bytes)
                case .addMPLS(_, let entry): emitPrepend((0..<4).map { UInt8(truncatingIfNeeded: entry >> UInt32(24 - 8 * $0)) })
                case .popEthernet: ops.append(ActionOp(code: ActionCode.strip, a: 14))
                case .removeMPLS: ops.append(ActionOp(code: ActionCode.strip, a: 4))
                case .popNSH: ops.append(ActionOp(code: ActionCode.stripNSH))
                case .copyTTLOut: ops.append(ActionOp(code: ActionCode.copyTTLOut))
                case .copyTTLIn: ops.append(ActionOp(code: ActionCode.copyTTLIn))
                case .checkLength(let length, let larger, let other):
                    emitBranch(length, larger, other, level: level)
                    // Nothing comes after it.
                    return
                case .punt(let token, let maxLength):
                    ops.append(ActionOp(code: ActionCode.puntCopy, a: maxLength, b: token.rawValue))
                case .truncate(let maxLength):
                    truncation = max(maxLength, 14)
                case .clone(let inner):
                    emitClone(inner, level: level)
                case .meter(let number):
                    ops.append(ActionOp(code: ActionCode.meter, b: number))
                case .select(let algorithm, let basis, let choices):
                    // A power of two that an operation's field has room for.
                    guard (1...65_536).contains(choices.count), choices.count & (choices.count - 1) == 0 else { break }
                    ops.append(
                        ActionOp(
                            code: ActionCode.selectCopy, flags: algorithm == 1 ? 1 : 0, a: UInt16(choices.count - 1), b: basis,
                            c: UInt64(ids.count)))
                    ids += choices
                case .recirculate(let id):
                    ops.append(ActionOp(code: ActionCode.recirculateCopy, b: id))
                case .drop(let why):
                    reason = why
                }
            }
        }

        /// Puts bytes in front, from their end on, as many at a time as an operand holds.
        private mutating func emitPrepend(_ bytes: [UInt8]) {
            var end = bytes.count
            while end > 0 {
                let start = max(0, end - 32)
                var operand = SetOperand(value: 0, mask: 0, field: .ethType)
                withUnsafeMutableBytes(of: &operand) { $0.copyBytes(from: bytes[start..<end]) }
                ops.append(ActionOp(code: ActionCode.prepend, a: UInt16(end - start), b: UInt32(operands.count)))
                operands.append(operand)
                end = start
            }
        }

        private mutating func emitSet(_ field: Field, _ value: UInt128, _ mask: UInt128) {
            let full: UInt128 = 0xffff_ffff_ffff
            if field == .nwTTL, mask & 0xff == 0xff {
                let ttl = UInt64(truncatingIfNeeded: value & 0xff) << 56
                if ops.count > listStart, ActionProgram.rewritesAddresses(ops[ops.count - 1].code) {
                    ops[ops.count - 1].flags |= ActionOp.setsTTL
                    ops[ops.count - 1].c = ops[ops.count - 1].c & ~(0xff << 56) | ttl
                } else {
                    ops.append(ActionOp(code: ActionCode.setTTL, c: ttl))
                }
                return
            }
            if field == .ethDst || field == .ethSrc, mask & full == full {
                let code = field == .ethDst ? ActionCode.setEthernetDestination : ActionCode.setEthernetSource
                let bytes = UInt64(truncatingIfNeeded: value & full).byteSwapped >> 16
                if ops.count > listStart, let last = ops.last, last.code != code,
                    last.code == ActionCode.setEthernetDestination || last.code == ActionCode.setEthernetSource
                {
                    let known = last.c & UInt64(full)
                    let (destination, source) = field == .ethDst ? (bytes, known) : (known, bytes)
                    ops[ops.count - 1] = ActionOp(
                        code: ActionCode.setEthernetAddresses, flags: last.flags, a: UInt16(truncatingIfNeeded: destination),
                        b: UInt32(truncatingIfNeeded: destination >> 16), c: source | last.c & ~UInt64(full))
                } else if ops.count > listStart, let last = ops.last, last.code == ActionCode.setTTL {
                    ops[ops.count - 1] = ActionOp(code: code, flags: ActionOp.setsTTL, c: bytes | last.c)
                } else {
                    ops.append(ActionOp(code: code, c: bytes))
                }
            } else {
                ops.append(ActionOp(code: ActionCode.set, b: UInt32(operands.count)))
                operands.append(SetOperand(value: value, mask: mask, field: field))
            }
        }

        private mutating func emitClone(_ inner: [DatapathAction], level: Int) {
            guard level < DatapathLimits.cloneDepth else { return }
            let outerReason = reason
            let outerTruncation = truncation
            truncation = 0
            let start = ops.count
            listStart = start
            emit(inner, level: level + 1)
            reason = outerReason
            truncation = outerTruncation
            trimTail(from: start)
            let length = ops.count - start
            let changes = ops[start...].contains { !ActionProgram.consumes($0.code) }
            // Without changes the copies' actions are the packet's own.
            if length > 0, changes {
                ops.insert(ActionOp(code: ActionCode.clone, b: UInt32(length)), at: start)
                setLastToMove(from: start + 1)
            }
            listStart = ops.count
        }

        /// Two lists of which a packet takes one; both end with the packet, as does the list they are in.
        private mutating func emitBranch(_ length: UInt16, _ larger: [DatapathAction], _ other: [DatapathAction], level: Int) {
            let branch = ops.count
            ops.append(ActionOp(code: ActionCode.branch, a: length))
            emitArm(larger, level: level)
            ops[branch].b = UInt32(ops.count - branch - 1)
            emitArm(other, level: level)
            listStart = ops.count
        }

        private mutating func emitArm(_ list: [DatapathAction], level: Int) {
            let outer = (reason, truncation)
            truncation = 0
            let start = ops.count
            listStart = start
            emit(list, level: level)
            trimTail(from: start)
            setLastToMove(from: start)
            ops.append(ActionOp(code: ActionCode.drop, a: UInt16(reason.rawValue)))
            (reason, truncation) = outer
        }

        /// Drops changes after the last action that takes the packet, or counts it.
        private mutating func trimTail(from start: Int) {
            var end = start
            var index = start
            while index < ops.count {
                if ops[index].code == ActionCode.branch { return }
                if ops[index].code == ActionCode.clone {
                    index += Int(ops[index].b) + 1
                    end = index
                    continue
                }
                index += 1
                if ActionProgram.consumes(ops[index - 1].code) || ops[index - 1].code == ActionCode.meter { end = index }
            }
            ops.removeLast(ops.count - end)
        }

        /// The last action of a list takes the packet itself.
        private mutating func setLastToMove(from start: Int) {
            // If the list ends in a clone, that clone's actions are for a copy all the same, and the rest is a drop.
            var index = start
            var last = -1
            while index < ops.count {
                // Its arms end with the packet themselves.
                if ops[index].code == ActionCode.branch { return }
                last = index
                index += ops[index].code == ActionCode.clone ? Int(ops[index].b) + 1 : 1
            }
            guard last >= 0 else { return }
            switch ops[last].code {
            case ActionCode.outputCopy: ops[last].code = ActionCode.outputMove
            case ActionCode.puntCopy: ops[last].code = ActionCode.puntMove
            case ActionCode.recirculateCopy: ops[last].code = ActionCode.recirculateMove
            case ActionCode.selectCopy: ops[last].code = ActionCode.selectMove
            default: break
            }
        }

        mutating func finish() {
            trimTail(from: 0)
            setLastToMove(from: 0)
            if ops.contains(where: { $0.code == ActionCode.branch }) {
                isSimple = false
                ops.append(ActionOp(code: ActionCode.drop, a: UInt16(reason.rawValue)))
                return
            }
            let consumers = ops.filter { ActionProgram.consumes($0.code) || $0.code == ActionCode.clone }.count
            if consumers == 0 {
                // Changes are seen by nobody, but meters count.
                ops.removeAll { $0.code != ActionCode.meter }
                ops.append(ActionOp(code: ActionCode.drop, a: UInt16(reason.rawValue)))
                isSimple = true
            } else {
                isSimple = consumers == 1 && ActionProgram.consumes(ops.last!.code) && !ops.contains { $0.code == ActionCode.clone }
                // What is left over when copies fail, or after a final clone.
                if !isSimple { ops.append(ActionOp(code: ActionCode.drop, a: UInt16(reason.rawValue))) }
            }
        }
    }

    /// Whether an operation sets Ethernet addresses (and perhaps the TTL) and nothing else.
    static func rewritesAddresses(_ code: UInt8) -> Bool {
        code == ActionCode.setEthernetDestination || code == ActionCode.setEthernetSource || code == ActionCode.setEthernetAddresses
    }

    /// Whether an operation takes the packet or a copy of it away.
    static func consumes(_ code: UInt8) -> Bool {
        switch code {
        case ActionCode.outputMove, ActionCode.outputCopy, ActionCode.puntMove, ActionCode.puntCopy, ActionCode.recirculateMove,
            ActionCode.recirculateCopy, ActionCode.selectMove, ActionCode.selectCopy, ActionCode.drop:
            true
        default: false
        }
    }
}
