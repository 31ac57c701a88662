import ConfigModel
import HTTPClient
import PKI
import State

// Issuers: obtains certificates from their sources: the operator's files, the local CA, and the CAs that issuers name.
//
// A source takes a declaration from aegis.yaml. It returns a checked chain with its key, or a failure. The caller
// stores the result. Each kind of issuer is an `IssuerProvider`, which does what only this kind needs.

/// Obtains declared certificates from their sources, and lets their issuers revoke them.
package struct CertificateSources: Sendable {
    private let own: OwnCertificate
    private let resources: IssuerResources
    private let leaving: [Issuer]

    /// Makes the sources. If `local` is a failure, only certificates from the local CA fail. Challenges of ACME CAs are
    /// published on `board`. `leaving` are issuers that are being removed from the state. They issue nothing, but their
    /// replaced certificates can still be revoked.
    package init(
        local: Result<LocalAuthority, IssuanceFailure>, board: ChallengeBoard, _ context: IssuanceContext,
        leaving: [Issuer] = []
    ) {
        self.leaving = leaving
        own = OwnCertificate(context.secrets)
        resources = IssuerResources(
            context: context, acme: ACMEOrders(context, board: board), local: local, vaults: VaultSessions(context))
    }

    /// Sources for a process that only lets issuers revoke certificates.
    package init(revoking context: IssuanceContext) {
        let nothing = IssuanceFailure("this process obtains no certificates")
        let board = ChallengeBoard(store: context.store, holder: context.holder) { () throws(IssuanceFailure) in
            throw nothing
        }
        self.init(local: .failure(nothing), board: board, context)
    }

    private var context: IssuanceContext { resources.context }

    /// Obtains a declared certificate, which the state will store under `name`. This may take minutes, until the CA has
    /// issued.
    ///
    /// `users` are the hosts that an operator's own certificate must cover. `startsAnew` deletes an earlier order with
    /// an unknown outcome and places a new one.
    package func obtain(
        _ value: any Recorded, named name: String, for users: [DomainName], from issuers: [Issuer],
        startsAnew: Bool = false
    ) throws(IssuanceFailure) -> ObtainedCertificate {
        let source = (value as? NamedCertificate)?.source
        var material: IssuedMaterial
        if case .custom(let custom)? = source {
            material = try own.load(custom, for: users, now: context.now())
        } else {
            material = try issue(WantedCertificate(value, named: name, from: issuers), startsAnew: startsAnew)
        }
        do throws(StateError) {
            material.closing += try certificateToRevoke(name, material, issuers).map { [.supersede($0)] } ?? []
        } catch {
            throw IssuanceFailure("\(error)")
        }
        let autoRenew =
            switch source {
            case .custom: false
            case .issued(let issued): issued.autoRenew
            case nil: true
            }
        return ObtainedCertificate(material: material, autoRenew: autoRenew)
    }

    /// Lets the certificate's issuers try to issue it, one after the other, until one succeeds.
    ///
    /// If another process has obtained the certificate in the meantime, returns that certificate.
    private func issue(_ wanted: WantedCertificate, startsAnew: Bool) throws(IssuanceFailure) -> IssuedMaterial {
        let isLocal = wanted.issuers.allSatisfy { type(of: $0.provider).isLocal }
        guard !isLocal else { return try askInTurn(wanted.issuers, for: wanted, startsAnew) }
        return try SoleIssuance(context: context).obtain(wanted.name, for: wanted.names) { () throws(IssuanceFailure) in
            var issuers = wanted.issuers
            do throws(StateError) {
                // If the journal has an order, its issuer is tried first.
                if let pending = try context.store.pendingOrder(for: wanted.name),
                    let index = issuers.firstIndex(where: { $0.name == pending.issuer })
                {
                    issuers.insert(issuers.remove(at: index), at: 0)
                }
            } catch {
                throw IssuanceFailure("\(error)")
            }
            return try askInTurn(issuers, for: wanted, startsAnew)
        }
    }

    private func askInTurn(
        _ issuers: [Issuer], for wanted: WantedCertificate, _ startsAnew: Bool
    ) throws(IssuanceFailure) -> IssuedMaterial {
        var failures: [(issuer: String, failure: IssuanceFailure)] = []
        for issuer in issuers {
            // The warnings or the failure may contain a secret that a CA or a webhook has quoted.
            let mask = SecretMask(issuer.settings, context.secrets)
            do throws(IssuanceFailure) {
                var material = try issuer.provider.issue(wanted, startsAnew: startsAnew, resources)
                material.warnings = material.warnings.map { mask.hiding(in: $0) }
                return material
            } catch {
                failures.append((issuer.name, mask.hiding(in: error)))
            }
        }
        guard failures.count > 1 else {
            throw failures.first?.failure ?? IssuanceFailure("it has no issuer")
        }
        throw IssuanceFailure(
            failures.map { "\($0.issuer): \($0.failure.reason)" }.joined(separator: "; "),
            hint: failures.compactMap(\.failure.hint).first,
            // If one of the CAs gives no time, the result is 0, so that only the retry schedule counts.
            notBefore: failures.map { $0.failure.notBefore ?? 0 }.min())
    }

    /// Returns the stored certificate that `material` replaces, if its issuer has `revoke_replaced`. Otherwise returns
    /// nil. The returned certificate is revoked after `material` is in force.
    private func certificateToRevoke(
        _ name: String, _ material: IssuedMaterial, _ issuers: [Issuer]
    ) throws(StateError) -> SupersededCertificate? {
        guard let former = try context.store.certificate(named: name), let remote = former.remote,
            remote.id != material.remote?.id,
            let issuer = (issuers + leaving).first(where: { $0.name == former.issuerName }),
            issuer.provider.revokesReplaced
        else { return nil }
        return SupersededCertificate(id: remote.id, certificate: name, issuer: issuer.name, since: context.now())
    }

    /// Asks the CA of a stored certificate when to renew it (renewal information, RFC 9773) and stores the suggested
    /// time. If the CA can't be reached or gives no advice, it is asked again later.
    package func takeAdvice(on value: any Recorded, named name: String, from issuers: [Issuer]) {
        guard let need = try? WantedCertificate(value, named: name, from: issuers) else { return }
        resources.acme.takeAdvice(on: name, from: need.authorities.map(\.settings))
    }

    /// Lets the issuer of a certificate revoke it, which can't be undone. Succeeds if the certificate is already
    /// revoked.
    ///
    /// - Returns: The certificate's identifier at the CA, for a message.
    package func revoke(
        _ certificate: StoredCertificate, _ reason: RevocationReason, by issuer: Issuer
    ) throws(IssuanceFailure) -> String {
        try issuer.provider.revoke(certificate, reason, resources)
    }
}

/// A certificate that was obtained and is not yet stored.
package struct ObtainedCertificate: Sendable {
    package internal(set) var material: IssuedMaterial
    /// Whether Aegis renews the certificate before it expires.
    package let autoRenew: Bool

    /// Makes the row for the state, with the private key sealed. `now` is in seconds since 1970.
    package func stored(
        named name: String, owner: StoredItem.Owner, record: [UInt8], sealer: Sealer, now: Int64
    ) throws(IssuanceFailure) -> StoredCertificate {
        let leaf = material.chain.leaf
        let facts = CertificateFacts(
            domains: leaf.names.map(\.text), source: material.source, issuerCommonName: leaf.issuerCommonName ?? "",
            notBefore: leaf.notBefore, expiresAt: material.chain.expiresAt, autoRenew: autoRenew, createdAt: now,
            fingerprint: leaf.fingerprint, sourceDigest: material.sourceDigest, directory: material.directory)
        let key: [UInt8]
        do {
            key = try sealer.sealKey(material.key.der(), ofCertificate: name, fingerprint: leaf.fingerprint)
        } catch {
            throw IssuanceFailure("its key can't be sealed: \(error)")
        }
        return StoredCertificate(
            name: name, owner: owner, record: record, facts: facts, chain: Array(material.chain.pem.utf8),
            sealedKey: key, remote: material.remote)
    }
}

extension KeyAlgorithm {
    /// Converts the key type in aegis.yaml. Both types have the same raw values.
    init(_ type: KeyType) { self = KeyAlgorithm(rawValue: type.rawValue) ?? .ecdsaP256 }
}
