import ConfigModel
import Issuers
import PKI
import State

/// The revocation of a certificate by the CA that issued it, which can't be undone. The caller must hold the
/// certificate's lease: otherwise another process could replace the certificate meanwhile, and the new one would be
/// marked as revoked.
package struct Revocation: Sendable {
    package let certificate: StoredCertificate
    private let reason: RevocationReason
    /// The issuers that may have issued the certificate. If the state does not say which of several CAs issued it, each
    /// of them is asked in turn, since only the CA that issued it can revoke it.
    private let issuers: [Issuer]

    /// What happens to a certificate after it was revoked.
    package enum Sequel: Sendable {
        /// It was only kept, and is not used again.
        case notUsed
        /// Its host is disabled. It is replaced when the host is enabled.
        case rests
        /// It is served until another takes its place, which a gateway sees to.
        case isReplaced
        /// It is still served, and nobody replaces it.
        case isServedOn
    }

    /// Throws when no CA could be asked. `known` are all issuers in the state, by name.
    package init(
        of certificate: StoredCertificate, _ reason: RevocationReason, among known: [String: Issuer]
    ) throws(OperationFailure) {
        self.certificate = certificate
        self.reason = reason
        let names = certificate.issuerNames
        guard let source = certificate.facts.source.provider, source.canRevoke, !names.isEmpty else {
            throw OperationFailure(
                .notPossible, "the certificate '\(certificate.name)' is of no CA that Aegis can ask to revoke it")
        }
        let all = names.compactMap { known[$0] }.filter { type(of: $0.provider) == source }
        guard !all.isEmpty else {
            throw OperationFailure(
                .notPossible, "the issuer of '\(certificate.name)' is not in the state any more")
        }
        let issued = all.filter { $0.provider.directory == certificate.facts.directory }
        issuers = issued.isEmpty ? all : issued
    }

    /// Asks the CAs. `asking` makes each call, and can report meanwhile which CA it waits for.
    ///
    /// - Returns: What identifies the certificate at the CA, for a message.
    package func carryOut(
        by sources: CertificateSources,
        asking: (Issuer, @escaping @Sendable () throws -> String) throws -> String = { try $1() }
    ) throws -> String {
        var failures: [(issuer: String, failure: IssuanceFailure)] = []
        for issuer in issuers {
            do {
                let (certificate, reason) = (certificate, reason)
                return try asking(issuer) { try sources.revoke(certificate, reason, by: issuer) }
            } catch let failure as IssuanceFailure {
                failures.append((issuer.name, failure))
            }
        }
        let reasons = failures.map { "\($0.issuer): \($0.failure.reason)" }.joined(separator: "; ")
        throw OperationFailure(
            .notPossible, "'\(certificate.name)' is not revoked: \(reasons)",
            hint: failures.compactMap(\.failure.hint).first)
    }

    /// Marks the certificate as revoked. `now` is in seconds since 1970.
    func mark(now: Int64) -> StateMutation {
        .noteLoss(
            certificate: certificate.name, fingerprint: certificate.facts.fingerprint,
            reason: "was revoked on \(UTCTime.text(now))")
    }

    /// Marks the certificate as revoked, with an event. `now` is in seconds since 1970.
    package func record(
        in store: any StateStore, by holder: LeaseHolder, actor: String, now: Int64
    ) throws(StateError) -> Sequel {
        let name = certificate.name
        let event = AuditEvent(at: now, actor: actor, action: "revoke", item: ItemID(.certificate, name))
        try store.commit(
            [mark(now: now), .appendEvent(event)], by: holder, under: .certificate(name))
        guard try store.keptCertificate(named: name) == nil else { return .notUsed }
        let host = try store.item(ItemID(.host, name)).flatMap { Host(record: $0.record) }
        if let host, !host.enabled, host.sslMode == .letsencrypt { return .rests }
        return certificate.facts.autoRenew ? .isReplaced : .isServedOn
    }
}

/// The reasons for a revocation that operators can give (RFC 5280 section 5.3.1).
package enum RevocationWord: String, CaseIterable, Sendable {
    case unspecified
    case keyCompromise = "key-compromise"
    case superseded
    case cessationOfOperation = "cessation-of-operation"

    package var code: RevocationReason {
        switch self {
        case .unspecified: .unspecified
        case .keyCompromise: .keyCompromise
        case .superseded: .superseded
        case .cessationOfOperation: .cessationOfOperation
        }
    }
}

extension StoredCertificate {
    /// The issuers that may have issued the certificate: the issuer that its declaration names, or all issuers of a
    /// host's own certificate.
    fileprivate var issuerNames: [String] {
        issuerName.map { [$0] } ?? HostCertificate(record: record)?.issuers ?? []
    }
}
