import Base
import Logging
import Management
import TestSupport
import Testing

@Suite struct LogTests {
    let sink = LogSink()

    func registry(_ clock: Clock = Clock(stoppedAt: Instant(nanoseconds: 1))) -> LogRegistry {
        LogRegistry(clock: clock, consoleDescriptor: sink.descriptor, wallMilliseconds: { 1_769_860_800_123 })
    }

    @Test func linesHaveTheFieldsFormat() {
        let log = registry()
        let logger = log.logger("bridge")
        logger.warning("port p1 is gone")
        logger.info("two\nlines")
        logger.debug("not shown")
        #expect(
            sink.text == """
                2026-01-31T12:00:00.123Z|00001|bridge|WARN|port p1 is gone
                2026-01-31T12:00:00.123Z|00002|bridge|INFO|two\\nlines

                """)
    }

    @Test func levelsAreSetByModuleDestinationAndLevelInAnyOrder() {
        let log = registry()
        let bridge = log.logger("bridge")
        let other = log.logger("ofproto")
        #expect(log.set(specification: "dbg:bridge,console") == nil)
        bridge.debug("one")
        other.debug("two")
        #expect(sink.text.hasSuffix("|bridge|DBG|one\n"))
        #expect(log.set(specification: "ANY:ANY:err") == nil)
        bridge.warning("three")
        #expect(sink.text == "")
        #expect(log.set(specification: "nosuch:info") == "no destination, level, or module \"nosuch\"")
        #expect(
            log.list() == """
                                 console    syslog    file
                                 -------    ------    ------
                bridge             ERR        ERR        ERR
                ofproto            ERR        ERR        ERR

                """)
    }

    @Test func aChattyModuleIsLimitedAndTheLossIsCounted() {
        let clock = Clock(stoppedAt: Instant(nanoseconds: 1))
        let log = registry(clock)
        let logger = log.logger("ofp")
        for _ in 0..<1000 { logger.warning("garbage") }
        #expect(sink.text.split(separator: "\n").count == 60)
        clock.warp(milliseconds: 2_000)
        logger.warning("garbage")
        #expect(sink.text.contains("|WARN|Dropped 940 log messages due to excessive rate\n"))
        #expect(log.setRateLimit(false, module: "ofp"))
        for _ in 0..<100 { logger.warning("garbage") }
        #expect(sink.text.split(separator: "\n").count == 100)
        #expect(!log.setRateLimit(true, module: "nosuch"))
    }

    @Test func aFileIsWrittenAndCanBeRotated() {
        let directory = TemporaryDirectory()
        let log = registry()
        #expect(log.reopenFile() == "Logging to file not configured")
        #expect(log.openFile(directory.file("log")) == nil)
        log.log("m", .info, "x")
        log.closeFile()
        log.log("m", .info, "y")
        #expect(log.reopenFile() == nil)
        #expect(log.openFile(directory.path + "/no/such/log")!.contains("cannot open the log file"))
    }
}
