/// Deadlines of many things that are put off far more often than they are met.
///
/// Putting a deadline off costs one store into the thing itself: its entry stays where it is in the wheel, and when it
/// comes up, the thing's own deadline says whether it is time or where to put the entry next. Times are in milliseconds of
/// the monotonic clock. Confined to one thread.
struct TimerWheel: ~Copyable {
    /// The time that a tick takes: deadlines are met at most this much late.
    static let tickMilliseconds: Int64 = 16
    private static let slots = 4096
    private static let slotsLookedAhead: Int64 = 32

    /// An entry, and the next of the same slot or the next that is free.
    private struct Entry {
        let token: Token
        let next: Int
    }

    /// No entry.
    private static let none = -1

    /// The entries of all slots, in one piece. Memory of each slot's own would lie scattered among that of connections, and
    /// keep pages that these leave behind from being given back.
    private var entries: [Entry] = []
    private var first: [Int]
    private var firstFree = Self.none
    private var now: Int64
    private var count = 0

    /// A wheel that starts at a time.
    init(now milliseconds: Int64) {
        now = milliseconds / Self.tickMilliseconds
        first = Array(repeating: Self.none, count: Self.slots)
    }

    /// Enters a thing to come up at a time, or earlier when that is further away than the wheel is round (65 s).
    ///
    /// - Returns: The tick at which it comes up; an entry whose thing remembers another tick is stale.
    mutating func enter(_ token: Token, at milliseconds: Int64) -> Int64 {
        let due = milliseconds / Self.tickMilliseconds + 1
        let tick = min(max(due, now + 1), now + Int64(Self.slots) - 1)
        let slot = Int(tick) & (Self.slots - 1)
        let entry = Entry(token: token, next: first[slot])
        if firstFree == Self.none {
            first[slot] = entries.count
            entries.append(entry)
        } else {
            first[slot] = firstFree
            firstFree = entries[firstFree].next
            entries[first[slot]] = entry
        }
        count += 1
        return tick
    }

    /// Takes out what has come up by a time, and calls `body` with each and the tick it stood at.
    mutating func advance(to milliseconds: Int64, _ due: inout [(token: Token, tick: Int64)]) {
        let target = milliseconds / Self.tickMilliseconds
        while now < target {
            now += 1
            guard count > 0 else {
                now = target
                return
            }
            let slot = Int(now) & (Self.slots - 1)
            while first[slot] != Self.none {
                let index = first[slot]
                let entry = entries[index]
                due.append((entry.token, now))
                first[slot] = entry.next
                entries[index] = Entry(token: entry.token, next: firstFree)
                firstFree = index
                count -= 1
            }
        }
    }

    /// How long to sleep at most until something may come up, in milliseconds: half a second where nothing is near, since
    /// looking farther ahead costs more than waking up. Nil when nothing is entered.
    func sleepMilliseconds(now milliseconds: Int64) -> Int64? {
        guard count > 0 else { return nil }
        for ahead in 1...Self.slotsLookedAhead where first[Int(now + ahead) & (Self.slots - 1)] != Self.none {
            return max(0, (now + ahead) * Self.tickMilliseconds - milliseconds)
        }
        return max(0, (now + Self.slotsLookedAhead) * Self.tickMilliseconds - milliseconds)
    }
}

/// The deadline of one thing: what it stores itself.
struct Deadline {
    /// When it is due, in milliseconds; `never` for not at all.
    fileprivate(set) var milliseconds = Deadline.never
    /// The tick of its entry in the wheel; `never` when it has none.
    fileprivate var tick = Deadline.never

    fileprivate static let never = Int64.max

    /// Sets it. Only one that is earlier than the entry in the wheel costs a new entry.
    mutating func set(_ milliseconds: Int64, for token: Token, in wheel: inout TimerWheel) {
        self.milliseconds = milliseconds
        guard milliseconds / TimerWheel.tickMilliseconds + 1 < tick else { return }
        tick = wheel.enter(token, at: milliseconds)
    }

    /// There is none any more. The entry comes up and is dropped.
    mutating func clear() { milliseconds = Deadline.never }

    /// What to do when an entry comes up: true when it is time. Else the entry is stale or goes on to where it belongs.
    mutating func isDue(entryAt tick: Int64, now: Int64, for token: Token, in wheel: inout TimerWheel) -> Bool {
        guard tick == self.tick else { return false }
        self.tick = Deadline.never
        guard milliseconds != Deadline.never else { return false }
        if milliseconds <= now { return true }
        self.tick = wheel.enter(token, at: milliseconds)
        return false
    }
}
