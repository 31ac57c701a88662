/// The delays between tries of a request: 1, 2, 4 … 16 s, or as the server says. Delays and tries together take at most
/// the budget.
package struct Backoff: Sendable {
    private static let longest = Duration.seconds(16)
    private let budget: Duration
    private var spent = Duration.zero
    private var next = Duration.seconds(1)

    /// Makes the delays for a new request. A budget of zero allows only one try.
    package init(budget: Duration = .seconds(60)) { self.budget = budget }

    /// Notes the duration of a failed try, which counts against the budget.
    package mutating func note(_ duration: Duration) { spent += max(.zero, duration) }

    /// The delay before the next try; nil when there should be no further try.
    package mutating func delay(retryAfter: Duration?) -> Duration? {
        // At least a second, since a server in trouble must not be called again at once.
        let delay = retryAfter.map { max($0, .seconds(1)) } ?? next
        guard spent + delay <= budget else { return nil }
        spent += delay
        next = min(next * 2, Self.longest)
        return delay
    }
}
