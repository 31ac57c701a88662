/// Decides how often a call is repeated if the server is in trouble: twice, after 1 to 1.5 s, as Vault's own client
/// does it (api/client.go), or after the delay in Retry-After. This type does no I/O.
struct VaultPatience {
    /// The longest time from the beginning of the first try to that of the last one.
    let budget: Duration
    private(set) var tries = 0
    private var jitter: UInt64

    private static let maximumTries = 3

    init(budget: Duration, jitter: UInt64) { (self.budget, self.jitter) = (budget, jitter) }

    /// Returns the delay before the next try, or nil if there is no further try. `spent` is the time since the call
    /// began.
    mutating func delay(retryAfter: Duration?, spent: Duration) -> Duration? {
        tries += 1
        // One step of a linear congruential generator, so that the delays of one call differ too.
        jitter = jitter &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let delay = max(retryAfter ?? .zero, .milliseconds(1000 + Int64(jitter >> 33) % 501))
        return tries < Self.maximumTries && spent + delay < budget ? delay : nil
    }
}
