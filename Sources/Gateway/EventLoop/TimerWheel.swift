/// A timer wheel for deadlines that are postponed far more often than they are reached.
///
/// To postpone a deadline, its owner, such as a connection, only stores the new time; the entry in the wheel stays as
/// it is. When the entry comes up, the stored time tells whether the deadline is reached or needs a new entry. Times
/// are in milliseconds of the monotonic clock. Only one thread may use a wheel.
struct TimerWheel: ~Copyable {
    /// The length of a tick. A deadline is noticed up to one tick late.
    static let tickMilliseconds: Int64 = 16
    private static let slots = 4096
    private static let slotsLookedAhead: Int64 = 32

    /// `next` is the index of the next entry in the same slot, or of the next free entry.
    private struct Entry {
        let token: Token
        let next: Int
    }

    private static let none = -1

    /// The entries of all slots, in one array. If each slot had its own memory, that memory would lie between
    /// connections and keep pages in use after the connections are gone.
    private var entries: [Entry] = []
    private var first: [Int]
    private var firstFree = Self.none
    private var now: Int64
    private var count = 0

    init(now milliseconds: Int64) {
        now = milliseconds / Self.tickMilliseconds
        first = Array(repeating: Self.none, count: Self.slots)
    }

    /// Adds an entry that comes up at the given time. If the time is further away than one turn of the wheel (65 s),
    /// the entry comes up earlier.
    ///
    /// - Returns: The tick at which the entry comes up. An entry is stale if its `Deadline` stores another tick.
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

    /// Moves the wheel forward to a time. Entries that come up are appended to `due`, each with its tick.
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

    /// How long the worker may sleep before an entry comes up, in milliseconds. At most half a second, since a search
    /// further ahead would cost more than waking up. Nil when there are no entries.
    func sleepMilliseconds(now milliseconds: Int64) -> Int64? {
        guard count > 0 else { return nil }
        for ahead in 1...Self.slotsLookedAhead where first[Int(now + ahead) & (Self.slots - 1)] != Self.none {
            return max(0, (now + ahead) * Self.tickMilliseconds - milliseconds)
        }
        return max(0, (now + Self.slotsLookedAhead) * Self.tickMilliseconds - milliseconds)
    }
}

/// A deadline, stored in its owner, such as a connection.
struct Deadline {
    /// The time in milliseconds; `never` when no deadline is set.
    fileprivate(set) var milliseconds = Deadline.never
    /// The tick of the entry in the wheel; `never` when there is no entry.
    fileprivate var tick = Deadline.never

    fileprivate static let never = Int64.max

    /// Sets the deadline. A new entry is added to the wheel only if the existing entry comes up too late.
    mutating func set(_ milliseconds: Int64, for token: Token, in wheel: inout TimerWheel) {
        self.milliseconds = milliseconds
        guard milliseconds / TimerWheel.tickMilliseconds + 1 < tick else { return }
        tick = wheel.enter(token, at: milliseconds)
    }

    /// Removes the deadline. Its entry stays in the wheel and is ignored when it comes up.
    mutating func clear() { milliseconds = Deadline.never }

    /// Handles an entry that has come up. Returns true if the deadline is reached. If the deadline was postponed, a new
    /// entry is added.
    mutating func isDue(entryAt tick: Int64, now: Int64, for token: Token, in wheel: inout TimerWheel) -> Bool {
        guard tick == self.tick else { return false }
        self.tick = Deadline.never
        guard milliseconds != Deadline.never else { return false }
        if milliseconds <= now { return true }
        self.tick = wheel.enter(token, at: milliseconds)
        return false
    }
}
