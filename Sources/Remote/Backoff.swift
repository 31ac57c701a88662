/// How long a request is tried: delays of 1, 2, 4 … 16 s, or what the server says, as long as they fit into a minute with the
/// time that tries took.
package struct Backoff: Sendable {
    private static let longest = Duration.seconds(16)
    private let budget: Duration
    private var spent = Duration.zero
    private var next = Duration.seconds(1)

    /// Before the first try. Without a budget it is the only one.
    package init(budget: Duration = .seconds(60)) { self.budget = budget }

    /// Notes how long a try took that came to nothing.
    package mutating func note(_ duration: Duration) { spent += max(.zero, duration) }

    /// The delay before the next try; nil when there should be none.
    package mutating func delay(retryAfter: Duration?) -> Duration? {
        // Zero would have us hammer a server that is in trouble.
        let delay = retryAfter.map { max($0, .seconds(1)) } ?? next
        guard spent + delay <= budget else { return nil }
        spent += delay
        next = min(next * 2, Self.longest)
        return delay
    }
}
