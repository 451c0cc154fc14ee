// What the fast path bounds, and why at that number.

/// Bounds of the datapath.
public enum DatapathLimits {
    /// Packets taken through the stages at once: their keys' first lines (2 KiB) and headers stay in a 32 KiB L1 cache.
    @inlinable public static var burst: Int { @_noLocks get { 32 } }
    /// Port numbers are 1 to `ports - 1`: they index tables of one pointer a port, and of 256 bytes of counters a port and thread.
    @inlinable public static var ports: Int { @_noLocks get { 4096 } }
    /// Meter numbers are 0 to `meters - 1`: they index a table of one pointer a meter, used as needed.
    @inlinable public static var meters: Int { @_noLocks get { 1 << 18 } }
    /// Megaflows there can ever be, entry 0 excluded: 128 bytes each, reserved as address space (128 MiB), used as needed.
    @inlinable public static var megaflows: Int { @_noLocks get { 1 << 20 } }
    /// `flow-limit`'s default.
    @inlinable public static var defaultFlowLimit: Int { @_noLocks get { 200_000 } }
    /// Masks there can ever be, over all ports: two budgets a port keep real numbers far below.
    @inlinable public static var masks: Int { @_noLocks get { 2048 } }
    /// A port's masks from which new ones are rounded up to the ladder, and from which new flows become exact.
    @inlinable public static var ladderMaskBudget: Int { @_noLocks get { 32 } }
    @inlinable public static var exactMaskBudget: Int { @_noLocks get { 64 } }
    /// Passes of one packet through the datapath (the first not counted), and passes a burst may cause in all.
    @inlinable public static var recirculationDepth: Int { @_noLocks get { 8 } }
    @inlinable public static var recirculationsPerBurst: Int { @_noLocks get { 1024 } }
    /// Packets that wait for their next pass.
    @inlinable public static var recirculationQueue: Int { @_noLocks get { 256 } }
    /// `clone` within `clone`.
    @inlinable public static var cloneDepth: Int { @_noLocks get { 4 } }
    /// Packets sent to several places whose outcome is not known yet, per thread: each of the 4096 ports' batches may hold
    /// some, so the table is flushed when it runs full.
    @inlinable public static var fates: Int { @_noLocks get { 4096 } }
    /// Translations in place for one burst; at some 2 us each established traffic waits 32 us at most.
    @inlinable public static var upcallsPerBurst: Int { @_noLocks get { 16 } }
    /// Bursts of one port in a row after which its thread has nobody else to keep waiting: misses are then translated in
    /// place, whatever the budget, and none is lost. Times `upcallsPerBurst` it is well below `upcallQueuePerPort`.
    @inlinable public static var soloBursts: Int { @_noLocks get { 8 } }
    /// Packets that wait for a handler thread, per PMD thread, and of these from one port. Powers of two.
    @inlinable public static var upcallQueue: Int { @_noLocks get { 2048 } }
    @inlinable public static var upcallQueuePerPort: Int { @_noLocks get { 512 } }
    /// Packets that wait for the control plane, per thread. A power of two.
    @inlinable public static var puntQueue: Int { @_noLocks get { 512 } }
    /// Bytes of headers that extraction wants in the packet's first segment.
    @inlinable public static var headerBytes: Int { @_noLocks get { 256 } }
    /// PMD threads (and CPU numbers that get one).
    @inlinable public static var pmdThreads: Int { @_noLocks get { 64 } }
    /// Handler threads (`n-handler-threads`); the first is always there.
    @inlinable public static var handlerThreads: Int { @_noLocks get { 4 } }
    /// Threads that are no PMD thread but send packets: kernel I/O, upcall handler, control (packet-out). Further
    /// handler threads come after the PMD threads.
    @inlinable public static var auxiliaryThreads: Int { @_noLocks get { 3 } }
    /// Flow cache: slots of 8 bytes, from 64 Ki to 4 Mi.
    @inlinable public static var smallestCacheSlots: Int { @_noLocks get { 1 << 16 } }
    @inlinable public static var largestCacheSlots: Int { @_noLocks get { 1 << 22 } }
    /// Buckets of seven slots from which on a megaflow table does not grow at once but by and by, and how many of them are then
    /// carried over under the lock: some 200 slots, 20 us.
    @inlinable public static var bucketsGrownAtOnce: Int { @_noLocks get { 1024 } }
    @inlinable public static var bucketsMovedAtOnce: Int { @_noLocks get { 64 } }
    /// Of the time of a PMD thread with several busy ports, what translations in place may take at most, in percent, looked at in
    /// windows of so many microseconds.
    @inlinable public static var upcallSharePercent: UInt64 { @_noLocks get { 15 } }
    @inlinable public static var upcallWindowMicroseconds: UInt64 { @_noLocks get { 1000 } }
    /// Cycles by which a port may be ahead of the slowest busy port of its thread before it is passed over: some 10 us.
    @inlinable public static var shareSlackCycles: UInt64 { @_noLocks get { 25_000 } }
    /// Cycles after which a queue that has more packets leaves the thread to the next one: some 3 us.
    @inlinable public static var turnCycles: UInt64 { @_noLocks get { 8_000 } }
    /// A guest's queue that gave a burst of several packets, but of fewer than these, rests for so many cycles (some 1.2 us): a look at it
    /// costs as much as five packets, and slows the guest, which writes what is looked at. Only where a packet comes in less than so many
    /// cycles (more than 6.5 millions a second): of slower guests none would wait for company.
    @inlinable public static var smallBurst: Int { @_noLocks get { 24 } }
    @inlinable public static var restCycles: UInt64 { @_noLocks get { 3_000 } }
    @inlinable public static var restingPacketCycles: UInt64 { @_noLocks get { 400 } }
    /// How long a PMD thread goes on polling after the latest packet before it begins to sleep, in microseconds.
    @inlinable public static var busySpinMicroseconds: UInt64 { @_noLocks get { 200 } }
    /// Megaflows that hardware has at a time: a change looks at each of them before it is acknowledged, 10 ns each.
    @inlinable public static var offloadedFlows: Int { @_noLocks get { 4096 } }
    /// Megaflows that hardware is given in one pass of maintenance, of 100 us each; and those it is asked about without a pause.
    @inlinable public static var offloadsPerPass: Int { @_noLocks get { 256 } }
    @inlinable public static var offloadSlice: Int { @_noLocks get { 64 } }
    /// Entries that maintenance looks at between two looks at its other duties.
    @inlinable public static var maintenanceSlice: Int { @_noLocks get { 512 } }
    /// Sleeps of an idle PMD thread grow quickly up to this many nanoseconds, and slowly beyond.
    @inlinable public static var quickSleepNanoseconds: UInt64 { @_noLocks get { 500_000 } }
    /// Sleeps shorter than this are not cut short by packets of kernel interfaces.
    @inlinable public static var deafSleepNanoseconds: UInt64 { @_noLocks get { 30_000 } }
    /// Descriptors of kernel interfaces that a sleeping PMD thread is woken by; further ones are looked at when it wakes by itself.
    @inlinable public static var descriptorsWaitedFor: UInt32 { @_noLocks get { 64 } }
    /// How long a PMD thread sleeps if all of its queues wake it.
    @inlinable public static var longestWaitNanoseconds: UInt64 { @_noLocks get { 100_000_000 } }
}
