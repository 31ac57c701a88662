import ACME
import ConfigModel
import State

extension CertificateFacts {
    /// How long before its end a certificate is renewed at the earliest, in seconds; nil for no bound. Certificates of
    /// Cloudflare's Origin CA live for up to 15 years, and a third of that would be far too early.
    package var longestLeadSeconds: Int64? { source == .cloudflareOrigin ? 30 * 86_400 : nil }

    /// The time from which the certificate is due by its lifetime alone, in seconds since 1970.
    package var dueAt: Int64 {
        RenewalScheduler.dueAt(notBefore: notBefore, notAfter: expiresAt, longestLeadSeconds: longestLeadSeconds)
    }

    /// The time before which no certificate of this validity is due, whatever the operator wishes, unless its CA
    /// advises it. In seconds since 1970.
    package static func restsUntil(notBefore: Int64, expiresAt: Int64) -> Int64 {
        RenewalScheduler.restsUntil(notBefore: notBefore, notAfter: expiresAt)
    }

    /// The time of the next renewal, in seconds since 1970: by the lifetime, the operator's wish and the CA's advice;
    /// after failures not before the next try. Gateways, plans and `renew` all use it.
    ///
    /// - Parameters:
    ///   - issuer: the first issuer that the certificate may come from.
    ///   - progress: earlier tries and advice.
    package func renewalAt(named name: String, from issuer: Issuer?, after progress: RenewalProgress?) -> Int64 {
        let candidate = RenewalCandidate(
            name: name, notBefore: notBefore, notAfter: expiresAt, renewBeforeSeconds: issuer?.renewBeforeSeconds,
            longestLeadSeconds: longestLeadSeconds,
            advisedAt: progress?.advisedFingerprint == fingerprint ? progress?.advisedAt : nil, obtainedAt: createdAt)
        return max(RenewalScheduler.dueAt(candidate, seed: 0), progress?.nextTryAt ?? .min)
    }
}

extension Issuer {
    fileprivate var renewBeforeSeconds: Int64? {
        guard case .acme(let settings) = kind else { return nil }
        return settings.renewBefore?.components.seconds
    }
}

extension Issuer {
    /// Identifies the CA: two issuers with the same place are one CA.
    package var place: String {
        guard case .acme(let settings) = kind else { return name }
        return settings.directory.text
    }
}

extension ManagedCertificate {
    /// The place of the certificate's first issuer.
    package func place(among issuers: [String: Issuer]) -> String {
        self.issuers.first.flatMap { issuers[$0]?.place } ?? ""
    }

    /// Whether the stored certificate is the declared one: it has all names, and comes from the directory of one of the
    /// issuers, if its directory is known. `issuers` are all of the state, by name.
    package func isMet(by facts: CertificateFacts, from issuers: [String: Issuer]) -> Bool {
        names.allSatisfy { facts.domains.contains($0) }
            && (facts.directory.isEmpty
                || self.issuers.contains { name in
                    guard case .acme(let settings) = issuers[name]?.kind else { return false }
                    return settings.directory.text == facts.directory
                })
    }

    /// The time from which the certificate is due, in seconds since 1970. `facts` are those of the stored certificate,
    /// if there is one. A certificate that is missing, lost or no longer the declared one is due at once, or at the
    /// next try after a failure.
    package func dueAt(
        _ facts: CertificateFacts?, from issuers: [String: Issuer], after progress: RenewalProgress?
    ) -> Int64 {
        guard let facts, facts.loss == nil, isMet(by: facts, from: issuers) else { return progress?.nextTryAt ?? 0 }
        return facts.renewalAt(
            named: name, from: self.issuers.first.flatMap { issuers[$0] }, after: progress)
    }
}
