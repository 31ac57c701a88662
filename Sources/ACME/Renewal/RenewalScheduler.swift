import PKI

/// A certificate that will need a renewal. Times are in seconds since 1970.
package struct RenewalCandidate: Sendable, Hashable {
    /// The certificate's name in the state. Its hash spreads renewals over time.
    package var name: String
    package var notBefore: Int64
    package var notAfter: Int64
    /// How long before its end the operator wants the certificate renewed.
    package var renewBeforeSeconds: Int64?
    /// How long before its end the certificate may be renewed at the earliest; nil for no bound.
    package var longestLeadSeconds: Int64?
    /// The time that was chosen from the window in the CA's renewal information.
    package var advisedAt: Int64?
    /// When the certificate was issued; nil if unknown.
    package var obtainedAt: Int64?
    /// How often in a row the renewal has failed.
    package var failures: Int
    /// When the renewal was last tried.
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

/// Decides when certificates are renewed. By default that is when a third of the lifetime is left, or half of a short
/// lifetime (the practice of certmagic and lego). The operator's setting or the CA's advice can change it. Certificates
/// that began together are spread: each is renewed earlier by up to an eighth of its lifetime, depending on the hash of
/// its name.
package enum RenewalScheduler {
    private static let shortLifetimeSeconds: Int64 = 10 * 86_400
    /// A bound beyond the year 9999, which is the last that a certificate can name.
    private static let possibleSeconds: Int64 = 400_000_000_000
    private static let longestPauseSeconds: Int64 = 6 * 3600

    /// The time from which a certificate is due by its lifetime alone. If `longestLeadSeconds` is given, the time is at
    /// most so long before the end. All times are in seconds since 1970.
    package static func dueAt(notBefore: Int64, notAfter: Int64, longestLeadSeconds: Int64? = nil) -> Int64 {
        // A validity that no certificate can have counts as long past.
        guard notAfter > notBefore, notBefore > -possibleSeconds, notAfter < possibleSeconds else { return 0 }
        let lifetime = notAfter - notBefore
        let lead = lifetime / (lifetime < shortLifetimeSeconds ? 2 : 3)
        return notAfter - min(lead, longestLeadSeconds ?? lead)
    }

    /// The time at which to renew a certificate. The same seed gives the same time; each node may have its own seed.
    package static func dueAt(_ candidate: RenewalCandidate, seed: UInt64) -> Int64 {
        let planned = advisedAt(candidate) ?? max(plannedAt(candidate, seed: seed), earliestAt(candidate))
        guard candidate.failures > 0, let lastTry = candidate.lastTryAt else { return planned }
        let delay = RetrySchedule.delaySeconds(afterFailures: candidate.failures)
        return max(planned, lastTry + delay + part(of: delay / 8, "\(candidate.failures) \(candidate.name)", seed))
    }

    /// A time before which no certificate of this validity is due, unless the CA advises it. Unlike `dueAt` it needs no
    /// hash.
    package static func restsUntil(notBefore: Int64, notAfter: Int64) -> Int64 {
        guard notAfter < possibleSeconds, notBefore > -possibleSeconds else { return .min }
        let lifetime = max(0, notAfter - notBefore)
        return min(notAfter - lifetime / 3 * 2, dueAt(notBefore: notBefore, notAfter: notAfter)) - lifetime / 8
    }

    /// The certificates that are due, those that end first in front, and the time when the next one becomes due.
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

    /// The earliest time of a renewal. A wrong clock, or an authority's certificate about to expire, can make a
    /// certificate due as soon as it is issued, and its successor too. Such a certificate is renewed more often the
    /// nearer the end is, but never in an endless circle. `RenewalProgress.after` does the same for renewals that the
    /// CA advised.
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

    /// The time that the CA advises; nil where the advice doesn't count.
    private static func advisedAt(_ candidate: RenewalCandidate) -> Int64? {
        guard let advised = candidate.advisedAt, isPossible(candidate) else { return nil }
        // Advice much earlier than usual means that something is wrong with the certificate, so it overrides the
        // operator's wish. Late advice must leave time for more than one try.
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
        // An operator's wish that a short lifetime can't fulfil must not cause constant renewals.
        let wished = candidate.renewBeforeSeconds.map { candidate.notAfter - min($0, lifetime / 3 * 2) }
        let planned = (wished ?? usual) - part(of: lifetime / 8, candidate.name, seed)
        // Certificates with this bound are spread over the time after it.
        let bound = candidate.longestLeadSeconds.map {
            candidate.notAfter - $0 + part(of: $0 / 4, candidate.name, seed)
        }
        return max(planned, bound ?? planned)
    }

    /// A number of seconds from 0 to below `seconds`, chosen by a hash of seed and name.
    private static func part(of seconds: Int64, _ name: String, _ seed: UInt64) -> Int64 {
        guard seconds > 0 else { return 0 }
        let hash = Digest.sha256(Array("\(seed) \(name)".utf8)).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        return Int64(hash.multipliedFullWidth(by: UInt64(seconds)).high)
    }
}
