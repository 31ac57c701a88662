import ACME
import ConfigModel
import State

extension CertificateFacts {
    /// How long before its end, at most, a certificate is renewed, in seconds; nil for no bound. Those of Cloudflare's Origin CA
    /// live for up to 15 years, a third of which is no time for a renewal.
    package var longestLeadSeconds: Int64? { source == .cloudflareOrigin ? 30 * 86_400 : nil }

    /// From when on it is due to be renewed by its lifetime alone, in seconds since 1970.
    package var dueAt: Int64 {
        RenewalScheduler.dueAt(notBefore: notBefore, notAfter: expiresAt, longestLeadSeconds: longestLeadSeconds)
    }

    /// Before this, in seconds since 1970, no certificate with such a validity is due, whatever the operator wishes, as long as
    /// its CA advises nothing.
    package static func restsUntil(notBefore: Int64, expiresAt: Int64) -> Int64 {
        RenewalScheduler.restsUntil(notBefore: notBefore, notAfter: expiresAt)
    }

    /// From when on it is renewed, in seconds since 1970: by its lifetime, as the operator wishes, as the CA advises, and after
    /// failures not before the next try. The same for gateways, plans and `renew`.
    ///
    /// - Parameters:
    ///   - issuer: the first that it may come from.
    ///   - progress: how having it goes.
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
    /// Where it is asked for certificates: what tells that two issuers are one CA.
    package var place: String {
        guard case .acme(let settings) = kind else { return name }
        return settings.directory.text
    }
}

extension ManagedCertificate {
    /// Where it is asked for first.
    package func place(among issuers: [String: Issuer]) -> String {
        self.issuers.first.flatMap { issuers[$0]?.place } ?? ""
    }

    /// Whether what is stored is still what is declared: for all names, and from the directory of one of its issuers where its
    /// own is known. `issuers` are all of the state, by name.
    package func isMet(by facts: CertificateFacts, from issuers: [String: Issuer]) -> Bool {
        names.allSatisfy { facts.domains.contains($0) }
            && (facts.directory.isEmpty
                || self.issuers.contains { name in
                    guard case .acme(let settings) = issuers[name]?.kind else { return false }
                    return settings.directory.text == facts.directory
                })
    }

    /// From when on it is due, in seconds since 1970. `facts` are of the certificate that is stored, if there is one: what
    /// is not what it is to be, or no longer good, is due at once, or when the next try is.
    package func dueAt(
        _ facts: CertificateFacts?, from issuers: [String: Issuer], after progress: RenewalProgress?
    ) -> Int64 {
        guard let facts, facts.loss == nil, isMet(by: facts, from: issuers) else { return progress?.nextTryAt ?? 0 }
        return facts.renewalAt(
            named: name, from: self.issuers.first.flatMap { issuers[$0] }, after: progress)
    }
}
