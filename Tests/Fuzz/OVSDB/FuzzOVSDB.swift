// Arbitrary bytes on an OVSDB session: schema, transactions, conditions, mutations, monitors, locks. Nothing may crash, a
// session that is closed says nothing any more, and what is answered is JSON.
//
// The first byte chooses what the rest is: a stream as it arrives, the operations of one transaction, monitor requests, or a
// schema to convert to.
import Base
import OVSDB

private let schemaText = #"""
    {"name":"t","version":"1.0.0","tables":{
    "T":{"columns":{"s":{"type":"string"},"i":{"type":"integer"},"r":{"type":"real"},"b":{"type":"boolean"},"u":{"type":"uuid"},
     "e":{"type":{"key":{"type":"string","enum":["set",["a","b"]]},"min":0}},
     "n":{"type":{"key":{"type":"integer","minInteger":1,"maxInteger":9},"min":0,"max":3}},
     "m":{"type":{"key":"string","value":"integer","min":0,"max":"unlimited"}},
     "k":{"type":{"key":{"type":"uuid","refTable":"C"},"min":0,"max":"unlimited"}},
     "w":{"type":{"key":{"type":"uuid","refTable":"C","refType":"weak"},"min":0,"max":2}}},"isRoot":true,"maxRows":5},
    "C":{"columns":{"s":{"type":"string"},"k":{"type":{"key":{"type":"uuid","refTable":"C"},"min":0,"max":"unlimited"}}},"indexes":[["s"]]}}}
    """#

private func makeServer() -> DatabaseServer {
    var limits = DatabaseLimits()
    limits.historyTransactions = 3
    limits.monitorsPerSession = 3
    let server = DatabaseServer(clock: Clock(stoppedAt: Instant(nanoseconds: 1)), limits: limits, uuids: UUIDGenerator(seed: 1))
    do {
        try server.add(Database(schema: DatabaseSchema(JSON(parsing: schemaText)), limits: limits, uuids: UUIDGenerator(seed: 2)))
    } catch {
        preconditionFailure("the fuzzer's own schema is refused: \(error)")
    }
    return server
}

@c(LLVMFuzzerTestOneInput)
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    guard size > 0, size <= 8192 else { return 0 }
    let server = makeServer()
    let session = server.makeSession(name: "fuzz")
    let watcher = server.makeSession(name: "watcher")
    watcher.receive(Array(#"{"id":1,"method":"monitor","params":["t",1,{"T":{},"C":{}}]}"#.utf8))
    watcher.receive(Array(#"{"id":2,"method":"monitor_cond","params":["t",2,{"T":{"where":[["i","<",3]]},"C":{}}]}"#.utf8))
    let rest = Array(UnsafeBufferPointer(start: data + 1, count: size - 1))
    let frame: (String, String)
    switch data[0] {
    case UInt8(ascii: "t"): frame = (#"{"id":1,"method":"transact","params":["t","#, "]}")
    case UInt8(ascii: "m"): frame = (#"{"id":1,"method":"monitor_cond","params":["t",1,"#, "]}")
    case UInt8(ascii: "s"): frame = (#"{"id":1,"method":"convert","params":["t","#, "]}")
    default: frame = ("", "")
    }
    session.receive(Array(frame.0.utf8) + rest + Array(frame.1.utf8))
    server.clock.warp(milliseconds: 10_000)
    server.runTimers()
    // What came of it can be read and written, and does not depend on who reads it.
    session.receive(
        Array(
            #"{"id":9,"method":"transact","params":["t",{"op":"select","table":"T","where":[]},{"op":"delete","table":"T","where":[]}]}"#
                .utf8))
    for answers in [session.takeOutput(), watcher.takeOutput()] {
        var framer = JSONFramer()
        framer.append(answers)
        do {
            while try framer.next() != nil {}
        } catch {
            preconditionFailure("the server sent what is not JSON: \(error)")
        }
        precondition(framer.bufferedBytes == 0, "the server sent half a message")
    }
    session.close()
    watcher.close()
    precondition(server.sessionCount == 0 && server.nextDeadline == nil, "a closed session left something behind")
    return 0
}
