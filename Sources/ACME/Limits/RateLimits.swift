/// What a CA allows an account to do. Each limit refills evenly: after a share of its window one more is allowed.
package struct RateLimits: Sendable, Hashable {
    /// So many in so many seconds.
    package struct Limit: Sendable, Hashable {
        /// How many at once.
        package let count: Int64
        /// In what time all of them come back, in seconds.
        package let windowSeconds: Int64

        /// A limit of at least one.
        package init(count: Int64, windowSeconds: Int64) {
            precondition(count > 0 && windowSeconds >= count, "a limit allows something, now and then")
            self.count = count
            self.windowSeconds = windowSeconds
        }

        /// In what time one comes back.
        var refillSeconds: Int64 { windowSeconds / count }
    }

    /// Orders of an account.
    package var orders: Limit
    /// Certificates of a registered domain, or of an address.
    package var certificatesOfDomain: Limit
    /// Certificates of exactly the same names.
    package var certificatesOfSet: Limit
    /// Failed authorizations of a name.
    package var failures: Limit

    /// Those of Let's Encrypt, as published in August 2026. Renewals that follow its renewal information are exempt.
    package static let letsEncrypt = RateLimits(
        orders: Limit(count: 300, windowSeconds: 3 * 3600),
        certificatesOfDomain: Limit(count: 50, windowSeconds: 7 * 86_400),
        certificatesOfSet: Limit(count: 5, windowSeconds: 7 * 86_400),
        failures: Limit(count: 5, windowSeconds: 3600))
}

extension RateLimits.Limit: CustomStringConvertible {
    /// Such as "5 in 7 days".
    package var description: String {
        let isDays = windowSeconds % 86_400 == 0
        let count = windowSeconds / (isDays ? 86_400 : 3600)
        let window = count == 1 ? (isDays ? "a day" : "an hour") : "\(count) \(isDays ? "days" : "hours")"
        return "\(self.count) in \(window)"
    }
}
