import ACME
import ConfigModel
import State

extension CertificateFacts {
    /// The maximum time between a renewal and the expiry, in seconds. Nil means no maximum.
    package var longestLeadSeconds: Int64? { source.provider?.longestLeadSeconds }

    /// The time at which the certificate becomes due by its lifetime alone, in seconds since 1970.
    package var dueAt: Int64 {
        RenewalScheduler.dueAt(notBefore: notBefore, notAfter: expiresAt, longestLeadSeconds: longestLeadSeconds)
    }

    /// A time before which a certificate with this validity is certainly not due, unless its CA advises an earlier
    /// renewal. In seconds since 1970.
    package static func restsUntil(notBefore: Int64, expiresAt: Int64) -> Int64 {
        RenewalScheduler.restsUntil(notBefore: notBefore, notAfter: expiresAt)
    }

    /// The time of the next renewal, in seconds since 1970. It depends on the lifetime, the operator's `renew_before`,
    /// the CA's advice, and the delay after failures. Gateways, plans and the command `renew` all use this function.
    ///
    /// - Parameters:
    ///   - issuer: The certificate's first issuer.
    ///   - progress: The record of earlier tries and of the CA's advice.
    package func renewalAt(named name: String, from issuer: Issuer?, after progress: RenewalProgress?) -> Int64 {
        let candidate = RenewalCandidate(
            name: name, notBefore: notBefore, notAfter: expiresAt,
            renewBeforeSeconds: issuer?.settings.renewBefore?.components.seconds,
            longestLeadSeconds: longestLeadSeconds,
            advisedAt: progress?.advisedFingerprint == fingerprint ? progress?.advisedAt : nil, obtainedAt: createdAt)
        return max(RenewalScheduler.dueAt(candidate, seed: 0), progress?.nextTryAt ?? .min)
    }
}

extension ManagedCertificate {
    /// The CA of the certificate's first issuer, as `Issuer.caID` writes it. Empty if that issuer is unknown.
    package func caID(among issuers: [String: Issuer]) -> String {
        self.issuers.first.flatMap { issuers[$0]?.caID } ?? ""
    }

    /// Whether the stored certificate fits the declaration. It must have all names, and its CA's directory (if
    /// recorded) must be that of one of the declared issuers. `issuers` are all issuers in the state, by name.
    package func isMet(by facts: CertificateFacts, from issuers: [String: Issuer]) -> Bool {
        names.allSatisfy { facts.domains.contains($0) }
            && (facts.directory.isEmpty
                || self.issuers.contains { issuers[$0]?.provider.directory == facts.directory })
    }

    /// The time at which the certificate becomes due, in seconds since 1970. `facts` describe the stored certificate,
    /// or are nil if there is none. A certificate that is missing, lost or does not fit the declaration is due at once,
    /// but after a failure only at the next try.
    package func dueAt(
        _ facts: CertificateFacts?, from issuers: [String: Issuer], after progress: RenewalProgress?
    ) -> Int64 {
        guard let facts, facts.loss == nil, isMet(by: facts, from: issuers) else { return progress?.nextTryAt ?? 0 }
        return facts.renewalAt(
            named: name, from: self.issuers.first.flatMap { issuers[$0] }, after: progress)
    }
}
