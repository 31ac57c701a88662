import Testing

@testable import Gateway

@Suite("Timers")
struct TimerTests {
    private let token = Token(.client, SlotID(index: 1, generation: 1))

    /// Advances the clock in steps. Returns the time at which the deadline was reached.
    private func meet(_ deadline: inout Deadline, in wheel: inout TimerWheel, from start: Int64, to end: Int64)
        -> Int64?
    {
        var due: [(token: Token, tick: Int64)] = []
        for now in stride(from: start, through: end, by: 5) {
            wheel.advance(to: now, &due)
            for (_, tick) in due where deadline.isDue(entryAt: tick, now: now, for: token, in: &wheel) { return now }
            due.removeAll()
        }
        return nil
    }

    @Test(
        "A deadline fires at its time, at most two ticks late",
        arguments: [0, 1, 15, 16, 500, 9_999, 65_000, 65_536, 200_000])
    func meeting(_ distance: Int64) throws {
        var wheel = TimerWheel(now: 1_000_000)
        var deadline = Deadline()
        deadline.set(1_000_000 + distance, for: token, in: &wheel)
        let met = try #require(meet(&deadline, in: &wheel, from: 1_000_000, to: 1_300_000))
        #expect(met >= 1_000_000 + distance)
        #expect(met <= 1_000_000 + distance + 2 * TimerWheel.tickMilliseconds + 5)
    }

    @Test("After a deadline is moved later or earlier, only the new time counts")
    func moving() throws {
        var wheel = TimerWheel(now: 0)
        var deadline = Deadline()
        deadline.set(1000, for: token, in: &wheel)
        deadline.set(5000, for: token, in: &wheel)
        #expect(meet(&deadline, in: &wheel, from: 0, to: 4990) == nil)
        deadline.set(60_000, for: token, in: &wheel)
        deadline.set(6000, for: token, in: &wheel)
        let met = try #require(meet(&deadline, in: &wheel, from: 4995, to: 100_000))
        #expect(met >= 6000 && met < 6060)
        #expect(meet(&deadline, in: &wheel, from: met + 5, to: 100_000) == nil)
    }

    @Test("A cleared deadline does not fire, and can be set again")
    func clearing() throws {
        var wheel = TimerWheel(now: 0)
        var deadline = Deadline()
        deadline.set(100, for: token, in: &wheel)
        deadline.clear()
        #expect(meet(&deadline, in: &wheel, from: 0, to: 2000) == nil)
        deadline.set(3000, for: token, in: &wheel)
        #expect(try #require(meet(&deadline, in: &wheel, from: 2000, to: 5000)) >= 3000)
    }

    @Test("With an empty wheel the loop sleeps without limit, else until the first entry")
    func sleeping() {
        var wheel = TimerWheel(now: 0)
        #expect(wheel.sleepMilliseconds(now: 0) == nil)
        _ = wheel.enter(token, at: 100)
        let sleep = wheel.sleepMilliseconds(now: 0)
        #expect(sleep.map { (96...128).contains($0) } == true)
    }
}
