import PKI

/// The facts about a certificate by which `RenewalScheduler` computes its renewal. Times are in seconds since 1970.
package struct RenewalCandidate: Sendable, Hashable {
    /// The certificate's name in the state. The scheduler spreads renewals over time by a hash of the name.
    package var name: String
    package var notBefore: Int64
    package var notAfter: Int64
    /// How long before expiry the operator wants to renew (`renew_before`).
    package var renewBeforeSeconds: Int64?
    /// The maximum time between renewal and expiry. Nil means no maximum.
    package var longestLeadSeconds: Int64?
    /// The time that Aegis chose from the CA's renewal information.
    package var advisedAt: Int64?
    /// The time of issue. Nil if unknown.
    package var obtainedAt: Int64?
    /// How many renewals in a row have failed.
    package var failures: Int
    package var lastTryAt: Int64?

    package init(
        name: String, notBefore: Int64, notAfter: Int64, renewBeforeSeconds: Int64? = nil,
        longestLeadSeconds: Int64? = nil, advisedAt: Int64? = nil, obtainedAt: Int64? = nil, failures: Int = 0,
        lastTryAt: Int64? = nil
    ) {
        self.name = name
        self.notBefore = notBefore
        self.notAfter = notAfter
        self.renewBeforeSeconds = renewBeforeSeconds
        self.longestLeadSeconds = longestLeadSeconds
        self.advisedAt = advisedAt
        self.obtainedAt = obtainedAt
        self.failures = failures
        self.lastTryAt = lastTryAt
    }
}

/// Computes when to renew certificates. By default, a certificate is due when a third of its lifetime is left, or half
/// if the whole lifetime is below ten days (like certmagic and lego). The operator's `renew_before` and the CA's
/// renewal information can change this. Many certificates may have been issued at the same time. So each is renewed
/// earlier by up to an eighth of its lifetime, by a hash of its name.
package enum RenewalScheduler {
    private static let shortLifetimeSeconds: Int64 = 10 * 86_400
    /// A bound for times in seconds since 1970. It lies beyond the year 9999, the last year in X.509.
    private static let possibleSeconds: Int64 = 400_000_000_000
    private static let longestPauseSeconds: Int64 = 6 * 3600

    /// The time at which a certificate becomes due by its lifetime alone, in seconds since 1970. If
    /// `longestLeadSeconds` is given, the time is at most this long before expiry.
    package static func dueAt(notBefore: Int64, notAfter: Int64, longestLeadSeconds: Int64? = nil) -> Int64 {
        // An impossible validity makes the certificate due at once.
        guard notAfter > notBefore, notBefore > -possibleSeconds, notAfter < possibleSeconds else { return 0 }
        let lifetime = notAfter - notBefore
        let lead = lifetime / (lifetime < shortLifetimeSeconds ? 2 : 3)
        return notAfter - min(lead, longestLeadSeconds ?? lead)
    }

    /// The time at which to renew a certificate. Renewals are spread by a hash of the name and `seed`. The same seed
    /// gives the same time.
    package static func dueAt(_ candidate: RenewalCandidate, seed: UInt64) -> Int64 {
        let planned = advisedAt(candidate) ?? max(plannedAt(candidate, seed: seed), earliestAt(candidate))
        guard candidate.failures > 0, let lastTry = candidate.lastTryAt else { return planned }
        let delay = RetrySchedule.delaySeconds(afterFailures: candidate.failures)
        return max(planned, lastTry + delay + part(of: delay / 8, "\(candidate.failures) \(candidate.name)", seed))
    }

    /// A time before which a certificate with this validity is certainly not due, unless the CA advises an earlier
    /// renewal. This bound is cheap to compute, since it needs no hash.
    package static func restsUntil(notBefore: Int64, notAfter: Int64) -> Int64 {
        guard notAfter < possibleSeconds, notBefore > -possibleSeconds else { return .min }
        let lifetime = max(0, notAfter - notBefore)
        return min(notAfter - lifetime / 3 * 2, dueAt(notBefore: notBefore, notAfter: notAfter)) - lifetime / 8
    }

    /// Returns the certificates that are due, sorted by expiry, and the time at which the next certificate becomes due.
    package static func due(
        _ candidates: some Sequence<RenewalCandidate>, now: Int64, seed: UInt64
    ) -> (due: [RenewalCandidate], nextAt: Int64?) {
        var due: [RenewalCandidate] = []
        var nextAt: Int64?
        for candidate in candidates {
            let at = dueAt(candidate, seed: seed)
            if at <= now { due.append(candidate) } else { nextAt = min(nextAt ?? at, at) }
        }
        return (due.sorted { ($0.notAfter, $0.name) < ($1.notAfter, $1.name) }, nextAt)
    }

    /// The earliest time for a renewal after the issuance. If a clock is wrong or a CA certificate is near its expiry,
    /// a new certificate can be due at once, and so can its replacement. This bound ensures a pause between renewals,
    /// so they can't happen in an endless loop. For renewals that the CA advises, `RenewalProgress.after` ensures a
    /// pause.
    private static func earliestAt(_ candidate: RenewalCandidate) -> Int64 {
        guard let obtainedAt = candidate.obtainedAt else { return .min }
        let left = candidate.notAfter - obtainedAt
        guard left > 0 else { return obtainedAt + longestPauseSeconds }
        let isDue = dueAt(notBefore: candidate.notBefore, notAfter: candidate.notAfter) <= obtainedAt
        return obtainedAt + min(isDue ? max(1, left / 2) : left / 8, longestPauseSeconds)
    }

    private static func isPossible(_ candidate: RenewalCandidate) -> Bool {
        candidate.notAfter < possibleSeconds && candidate.notBefore > -possibleSeconds
    }

    /// The time that the CA advises. Nil if there is no advice, or if the operator's `renew_before` takes precedence.
    private static func advisedAt(_ candidate: RenewalCandidate) -> Int64? {
        guard let advised = candidate.advisedAt, isPossible(candidate) else { return nil }
        // If the CA advises a much earlier time than usual, something is wrong with the certificate, so the advice
        // takes precedence over the operator's `renew_before`. Late advice is limited, so that there is time for
        // several tries.
        let lifetime = max(0, candidate.notAfter - candidate.notBefore)
        let usual = dueAt(notBefore: candidate.notBefore, notAfter: candidate.notAfter)
        let isUrgent = advised < usual - lifetime / 10
        guard isUrgent || candidate.renewBeforeSeconds == nil else { return nil }
        let latest = candidate.notAfter - lifetime / 10
        return advised <= latest ? advised : max(latest, earliestAt(candidate))
    }

    private static func plannedAt(_ candidate: RenewalCandidate, seed: UInt64) -> Int64 {
        guard isPossible(candidate) else { return 0 }
        let lifetime = max(0, candidate.notAfter - candidate.notBefore)
        let usual = dueAt(notBefore: candidate.notBefore, notAfter: candidate.notAfter)
        // If `renew_before` exceeds the lifetime, the certificate would always be due. So at most two thirds of the
        // lifetime are used.
        let wished = candidate.renewBeforeSeconds.map { candidate.notAfter - min($0, lifetime / 3 * 2) }
        let planned = (wished ?? usual) - part(of: lifetime / 8, candidate.name, seed)
        // With `longestLeadSeconds`, renewals are spread over a quarter of that time.
        let bound = candidate.longestLeadSeconds.map {
            candidate.notAfter - $0 + part(of: $0 / 4, candidate.name, seed)
        }
        return max(planned, bound ?? planned)
    }

    /// A number of seconds from 0 up to but not including `seconds`, chosen by a hash of the seed and the name.
    private static func part(of seconds: Int64, _ name: String, _ seed: UInt64) -> Int64 {
        guard seconds > 0 else { return 0 }
        let hash = Digest.sha256(Array("\(seed) \(name)".utf8)).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        return Int64(hash.multipliedFullWidth(by: UInt64(seconds)).high)
    }
}
