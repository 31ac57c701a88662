/// The delays before a request is repeated: 1, 2, 4, 8 and then 16 s, unless the server's Retry-After asks for another
/// delay. Delays and failed tries together take at most `budget`.
package struct Backoff: Sendable {
    private static let longest = Duration.seconds(16)
    private let budget: Duration
    private var spent = Duration.zero
    private var next = Duration.seconds(1)

    /// With a budget of zero, a request is never repeated.
    package init(budget: Duration = .seconds(60)) { self.budget = budget }

    /// Adds the duration of a failed try to the time spent.
    package mutating func note(_ duration: Duration) { spent += max(.zero, duration) }

    /// Returns the delay before the next try. Returns nil if the delay exceeds the rest of the budget.
    package mutating func delay(retryAfter: Duration?) -> Duration? {
        // A server may ask for no delay at all; the delay is still at least 1 s, to spare a server in trouble.
        let delay = retryAfter.map { max($0, .seconds(1)) } ?? next
        guard spent + delay <= budget else { return nil }
        spent += delay
        next = min(next * 2, Self.longest)
        return delay
    }
}
