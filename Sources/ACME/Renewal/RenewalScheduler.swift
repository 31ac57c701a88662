import PKI

/// A certificate that is to be renewed. Times are in seconds since 1970.
package struct RenewalCandidate: Sendable, Hashable {
    /// Tells it from others.
    package var name: String
    /// Valid from here on.
    package var notBefore: Int64
    /// Valid up to here.
    package var notAfter: Int64
    /// How long before its end the operator wants it renewed.
    package var renewBeforeSeconds: Int64?
    /// How long before its end it is renewed at most; nil for no bound.
    package var longestLeadSeconds: Int64?
    /// The instant chosen from the CA's renewal information.
    package var advisedAt: Int64?
    /// When it was issued; nil where that is not known.
    package var obtainedAt: Int64?
    /// How often in a row its renewal has failed.
    package var failures: Int
    /// When that was tried last.
    package var lastTryAt: Int64?

    /// A certificate.
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

/// When certificates are renewed: with a third of their lifetime left, half of a short one (the practice of certmagic and
/// lego), as the operator sets it, or as the CA advises. Certificates that began together don't come due together: the hash
/// of its name takes each forward by up to an eighth of its lifetime.
package enum RenewalScheduler {
    private static let shortLifetimeSeconds: Int64 = 10 * 86_400
    /// The year 9999 is the last that a certificate can name.
    private static let possibleSeconds: Int64 = 400_000_000_000
    private static let longestPauseSeconds: Int64 = 6 * 3600

    /// From when on a certificate is due by its lifetime alone, or at most so long before its end; all times in seconds since
    /// 1970.
    package static func dueAt(notBefore: Int64, notAfter: Int64, longestLeadSeconds: Int64? = nil) -> Int64 {
        // A time that no certificate can have counts as long past.
        guard notAfter > notBefore, notBefore > -possibleSeconds, notAfter < possibleSeconds else { return 0 }
        let lifetime = notAfter - notBefore
        let lead = lifetime / (lifetime < shortLifetimeSeconds ? 2 : 3)
        return notAfter - min(lead, longestLeadSeconds ?? lead)
    }

    /// When a certificate is to be renewed. The same seed gives the same time; a node may have one of its own.
    package static func dueAt(_ candidate: RenewalCandidate, seed: UInt64) -> Int64 {
        let planned = advisedAt(candidate) ?? max(plannedAt(candidate, seed: seed), earliestAt(candidate))
        guard candidate.failures > 0, let lastTry = candidate.lastTryAt else { return planned }
        let delay = RetrySchedule.delaySeconds(afterFailures: candidate.failures)
        return max(planned, lastTry + delay + part(of: delay / 8, "\(candidate.failures) \(candidate.name)", seed))
    }

    /// A bound that costs no hash: without advice nothing of such a validity is planned before it.
    package static func restsUntil(notBefore: Int64, notAfter: Int64) -> Int64 {
        guard notAfter < possibleSeconds, notBefore > -possibleSeconds else { return .min }
        let lifetime = max(0, notAfter - notBefore)
        return min(notAfter - lifetime / 3 * 2, dueAt(notBefore: notBefore, notAfter: notAfter)) - lifetime / 8
    }

    /// Those that are due, the ones that end first before the others, and when the next comes due.
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

    /// Not before this: by a clock that is wrong, or by a chain that the CA lets run out, a certificate may be due as soon as it is
    /// obtained, and the next one as well. The nearer such an end the oftener it is tried, but never in a circle. What advice has
    /// renewed is not advised on again for as long (`RenewalProgress.after`).
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

    /// When the CA advises to renew it, if that counts.
    private static func advisedAt(_ candidate: RenewalCandidate) -> Int64? {
        guard let advised = candidate.advisedAt, isPossible(candidate) else { return nil }
        // Much earlier than usual means that something is wrong with the certificate: then nobody's wish counts. Late advice must
        // leave time for more than one try.
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
        // A wish that a short certificate can't fulfil must not have it renewed all the time.
        let wished = candidate.renewBeforeSeconds.map { candidate.notAfter - min($0, lifetime / 3 * 2) }
        let planned = (wished ?? usual) - part(of: lifetime / 8, candidate.name, seed)
        // Here the spread is what comes after the bound.
        let bound = candidate.longestLeadSeconds.map {
            candidate.notAfter - $0 + part(of: $0 / 4, candidate.name, seed)
        }
        return max(planned, bound ?? planned)
    }

    /// A part of a time from nothing up to all of it, as a hash of seed and name has it.
    private static func part(of seconds: Int64, _ name: String, _ seed: UInt64) -> Int64 {
        guard seconds > 0 else { return 0 }
        let hash = Digest.sha256(Array("\(seed) \(name)".utf8)).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        return Int64(hash.multipliedFullWidth(by: UInt64(seconds)).high)
    }
}
