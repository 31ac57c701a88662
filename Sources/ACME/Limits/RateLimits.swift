/// The numbers of events that a CA allows an account. Each limit refills evenly: a window for 50 events allows one more
/// after a fiftieth of its time.
package struct RateLimits: Sendable, Hashable {
    /// At most `count` events in `windowSeconds`.
    package struct Limit: Sendable, Hashable {
        /// How many events may happen at once.
        package let count: Int64
        /// The time in which all events are allowed again, in seconds.
        package let windowSeconds: Int64

        /// Both numbers must be positive, and `windowSeconds` at least `count`.
        package init(count: Int64, windowSeconds: Int64) {
            precondition(count > 0 && windowSeconds >= count, "a limit allows something, now and then")
            self.count = count
            self.windowSeconds = windowSeconds
        }

        /// The time in which one more event is allowed, in seconds.
        var refillSeconds: Int64 { windowSeconds / count }
    }

    /// How many orders an account may place.
    package var orders: Limit
    /// How many certificates may be issued for a registered domain, or for an address.
    package var certificatesOfDomain: Limit
    /// How many certificates may be issued for exactly the same names.
    package var certificatesOfSet: Limit
    /// How many authorizations of a name may fail.
    package var failures: Limit

    /// The limits of Let's Encrypt, as published in August 2026. Renewals that follow its renewal information are
    /// exempt.
    package static let letsEncrypt = RateLimits(
        orders: Limit(count: 300, windowSeconds: 3 * 3600),
        certificatesOfDomain: Limit(count: 50, windowSeconds: 7 * 86_400),
        certificatesOfSet: Limit(count: 5, windowSeconds: 7 * 86_400),
        failures: Limit(count: 5, windowSeconds: 3600))
}

extension RateLimits.Limit: CustomStringConvertible {
    /// The limit in words, such as "5 in 7 days".
    package var description: String {
        let isDays = windowSeconds % 86_400 == 0
        let count = windowSeconds / (isDays ? 86_400 : 3600)
        let window = count == 1 ? (isDays ? "a day" : "an hour") : "\(count) \(isDays ? "days" : "hours")"
        return "\(self.count) in \(window)"
    }
}
