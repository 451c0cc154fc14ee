// The parts of a connection that need no peer: when to connect again, which packet-ins may pass, requests in parts.

import Base
import Flow
import Testing

@testable import OpenFlow

private func instant(_ milliseconds: UInt64) -> Instant { Instant(nanoseconds: 1).adding(milliseconds: milliseconds) }

@Suite struct ConnectionTests {
    @Test func waitsDoubleUpToTheMaximumAndBeginAnewAfterAConnectionThatHeld() {
        var now: UInt64 = 0
        var life = Reconnection(now: instant(now), maximumBackoffMilliseconds: 8000)
        #expect(life.state == .void && life.nextAttempt == instant(0))
        var waits: [UInt64] = []
        for _ in 0..<6 {
            life.attemptBegan(now: instant(now))
            #expect(life.state == .connecting && life.nextAttempt == nil)
            life.ended("refused", now: instant(now))
            #expect(life.state == .backoff && life.lastError == "refused")
            waits.append(life.waitMilliseconds)
            now += life.waitMilliseconds
            #expect(life.nextAttempt == instant(now))
        }
        #expect(waits == [1000, 2000, 4000, 8000, 8000, 8000])
        life.attemptBegan(now: instant(now))
        life.connected(now: instant(now))
        life.setIdle(true, now: instant(now))
        #expect(life.state == .idle)
        life.ended(nil, now: instant(now + 60_000))
        #expect(life.waitMilliseconds == 1000 && life.lastError == nil)
        life.maximumBackoffMilliseconds = 1000
        life.attemptBegan(now: instant(now + 61_000))
        life.ended("again", now: instant(now + 61_000))
        #expect(life.waitMilliseconds == 1000)
    }

    private func packet(_ port: UInt32, _ number: Int) -> PacketIn {
        var metadata = Match()
        metadata.set(.inPort, UInt128(port))
        return PacketIn(totalLength: number, reason: .noMatch, metadata: metadata, data: [])
    }

    @Test func packetInsPassInBurstsAndThenAtTheRateWithPortsTakingTurns() {
        var scheduler = PacketInScheduler(rate: 100, burst: 25, queueSize: 10, now: instant(0))
        var passed = 0
        for number in 0..<30 where scheduler.admit(packet(1, number), now: instant(0)) != nil { passed += 1 }
        #expect(passed == 25 && scheduler.backlog == 5)
        for number in 0..<20 { #expect(scheduler.admit(packet(2, number), now: instant(0)) == nil) }
        #expect(scheduler.backlog == 10 && scheduler.droppedCount == 15)
        #expect(scheduler.takeDue(now: instant(0)).isEmpty)
        #expect(scheduler.nextDeadline == instant(10))
        // Four of each port in forty milliseconds... port 2 filled the queue, port 1 kept its half.
        let due = scheduler.takeDue(now: instant(40))
        #expect(due.map(\.inPort.rawValue) == [1, 2, 1, 2])
        #expect(scheduler.takeDue(now: instant(1000)).count == 6)
        #expect(scheduler.backlog == 0 && scheduler.nextDeadline == nil)
        // No more than a burst is saved up.
        passed = 0
        for number in 0..<100 where scheduler.admit(packet(1, number), now: instant(60_000)) != nil { passed += 1 }
        #expect(passed == 25)
    }

    @Test func anyRateAndBurstWillDo() {
        var scheduler = PacketInScheduler(rate: .max, burst: .max, queueSize: .max, now: instant(0))
        #expect(scheduler.admit(packet(1, 1), now: instant(0)) != nil)
        #expect(scheduler.admit(packet(1, 2), now: instant(3_600_000)) != nil)
        scheduler.set(rate: .min, burst: .min, queueSize: .min)
        #expect(scheduler.admit(packet(1, 3), now: instant(7_200_000)) != nil)
    }

    @Test func requestsInPartsAreOneRequest() throws {
        var assembler = MultipartAssembler()
        let part = { (id: UInt32) in StatsRequest.flowMonitor([FlowMonitorRequest(id: id, flags: .add)]) }
        #expect(try assembler.add(part(1), xid: 5, more: true, version: .v1_4, now: instant(0)) == nil)
        // Another request in between is its own.
        #expect(try assembler.add(.description, xid: 6, more: false, version: .v1_4, now: instant(0)) == .description)
        let whole = try assembler.add(part(2), xid: 5, more: false, version: .v1_4, now: instant(10))
        #expect(whole == .flowMonitor([FlowMonitorRequest(id: 1, flags: .add), FlowMonitorRequest(id: 2, flags: .add)]))
        #expect(assembler.isEmpty)
        // What cannot come in parts.
        #expect(throws: OpenFlowError.self) { try assembler.add(.description, xid: 7, more: true, version: .v1_3, now: instant(0)) }
        // A part that never comes.
        _ = try assembler.add(part(1), xid: 9, more: true, version: .v1_4, now: instant(0))
        #expect(assembler.expire(now: instant(999)) == nil)
        #expect(assembler.expire(now: instant(1000)) == 9)
        #expect(assembler.isEmpty)
    }
}
