/// Limits how often a peer may send something that costs work but carries no data, such as a reset. Each second adds
/// `rate` to the budget, and at most `burst` can be saved.
struct FrameBudget {
    private let rate: Int
    private let burst: Int
    /// What is left of the budget, in thousandths of a frame.
    private var left: Int
    private var updatedAt: Int64?

    init(rate: Int, burst: Int) {
        (self.rate, self.burst) = (rate, burst)
        left = burst * 1000
    }

    /// Adds what the time since the last call allows. `now` is in milliseconds of the monotonic clock.
    mutating func refill(at now: Int64) {
        let passed = now - (updatedAt ?? now)
        updatedAt = now
        guard passed > 0 else { return }
        left = min(burst * 1000, left + Int(min(passed, 1_000_000)) * rate)
    }

    /// Returns false if nothing is left.
    mutating func spend() -> Bool {
        guard left >= 1000 else { return false }
        left -= 1000
        return true
    }
}
