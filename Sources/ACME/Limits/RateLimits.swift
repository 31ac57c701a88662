/// A CA's rate limits. Each limit is a token bucket that refills evenly: with 50 events in a week, one more event is
/// allowed after each fiftieth of a week.
package struct RateLimits: Sendable, Hashable {
    /// At most `count` events in `windowSeconds`.
    package struct Limit: Sendable, Hashable {
        /// The number of events that are allowed at once after a long pause.
        package let count: Int64
        /// How long an empty bucket takes to become full again, in seconds.
        package let windowSeconds: Int64

        /// Makes a limit. `count` must be positive, and `windowSeconds` must be at least `count`.
        package init(count: Int64, windowSeconds: Int64) {
            precondition(count > 0 && windowSeconds >= count, "a limit allows something, now and then")
            self.count = count
            self.windowSeconds = windowSeconds
        }

        /// The time after which one more event is allowed, in seconds.
        var refillSeconds: Int64 { windowSeconds / count }
    }

    /// The limit on orders per account.
    package var orders: Limit
    /// The limit on certificates per registered domain or IP address.
    package var certificatesOfDomain: Limit
    /// The limit on certificates with exactly the same set of names.
    package var certificatesOfSet: Limit
    /// The limit on failed authorizations per name.
    package var failures: Limit

    /// The limits of Let's Encrypt, as published in August 2026. Renewals according to its renewal information are
    /// exempt.
    package static let letsEncrypt = RateLimits(
        orders: Limit(count: 300, windowSeconds: 3 * 3600),
        certificatesOfDomain: Limit(count: 50, windowSeconds: 7 * 86_400),
        certificatesOfSet: Limit(count: 5, windowSeconds: 7 * 86_400),
        failures: Limit(count: 5, windowSeconds: 3600))
}

extension RateLimits.Limit: CustomStringConvertible {
    package var description: String {
        let isDays = windowSeconds % 86_400 == 0
        let count = windowSeconds / (isDays ? 86_400 : 3600)
        let window = count == 1 ? (isDays ? "a day" : "an hour") : "\(count) \(isDays ? "days" : "hours")"
        return "\(self.count) in \(window)"
    }
}
