import ConfigModel
import PKI
import State

/// Obtains declared certificates from their sources: files, the local CA, ACME CAs or Cloudflare's Origin CA.
package struct CertificateSources: Sendable {
    private let own: OwnCertificate
    private let local: Result<LocalAuthority, IssuanceFailure>
    private let orders: ACMEOrders
    private let origin: OriginOrders
    private let store: any StateStore
    private let now: @Sendable () -> Int64
    private let leaving: [Issuer]

    /// Makes the sources. If `local` is a failure, only certificates from the local CA fail. `leaving` are issuers that
    /// are being removed from the state. They issue nothing, but their replaced certificates can still be revoked.
    package init(
        local: Result<LocalAuthority, IssuanceFailure>, orders: ACMEOrders, _ tools: IssuanceContext,
        leaving: [Issuer] = []
    ) {
        self.leaving = leaving
        own = OwnCertificate(tools.secrets)
        self.local = local
        self.orders = orders
        origin = OriginOrders(tools: tools)
        store = tools.store
        now = tools.now
    }

    /// Obtains a declared certificate, which the state will store under `name`. This may take minutes, until the CA has
    /// issued.
    ///
    /// `users` are the hosts that an operator's own certificate must cover. `startsAnew` deletes an earlier order with
    /// an unknown outcome and places a new one.
    package func obtain(
        _ value: any Recorded, named name: String, for users: [DomainName], from issuers: [Issuer],
        startsAnew: Bool = false
    ) throws(IssuanceFailure) -> ObtainedCertificate {
        var obtained = try obtainAlone(value, named: name, for: users, from: issuers, startsAnew: startsAnew)
        do throws(StateError) {
            obtained.material.closing +=
                try certificateToRevoke(name, obtained.material, issuers).map { [.supersede($0)] } ?? []
        } catch {
            throw IssuanceFailure("\(error)")
        }
        return obtained
    }

    /// Returns the stored certificate that `material` replaces, if its issuer has `revoke_replaced`. Otherwise returns
    /// nil. The returned certificate is revoked after `material` is in force.
    private func certificateToRevoke(
        _ name: String, _ material: IssuedMaterial, _ issuers: [Issuer]
    ) throws(StateError) -> SupersededCertificate? {
        guard let former = try store.certificate(named: name), let remote = former.remote,
            remote.id != material.remote?.id,
            let issuer = (issuers + leaving).first(where: { $0.name == former.issuerName }),
            case .cloudflareOrigin(let settings) = issuer.kind, settings.revokeReplaced
        else { return nil }
        return SupersededCertificate(id: remote.id, certificate: name, issuer: issuer.name, since: now())
    }

    private func obtainAlone(
        _ value: any Recorded, named name: String, for users: [DomainName], from issuers: [Issuer], startsAnew: Bool
    ) throws(IssuanceFailure) -> ObtainedCertificate {
        switch value {
        case let certificate as HostCertificate:
            return ObtainedCertificate(
                material: try orders.obtain(WantedCertificate(of: certificate, named: name, from: issuers)),
                source: .letsencrypt, autoRenew: true)
        case let certificate as NamedCertificate:
            return try obtain(certificate, for: users, from: issuers, startsAnew: startsAnew)
        default: throw IssuanceFailure("'\(name)' is no certificate")
        }
    }

    private func obtain(
        _ certificate: NamedCertificate, for users: [DomainName], from issuers: [Issuer], startsAnew: Bool
    ) throws(IssuanceFailure) -> ObtainedCertificate {
        switch certificate.source {
        case .custom(let custom):
            return ObtainedCertificate(
                material: try own.load(custom, for: users, now: now()), source: .custom, autoRenew: false)
        case .issued(let issued):
            guard let issuer = issuers.first(where: { $0.name == issued.issuer }) else {
                throw IssuanceFailure("unknown issuer '\(issued.issuer)'")
            }
            let names = issued.domains.map(\.text)
            switch issuer.kind {
            case .localCA:
                let algorithm = KeyAlgorithm(issued.keyType ?? .ecdsaP256)
                return ObtainedCertificate(
                    material: try local.get().issue(for: names, algorithm, now: now()), source: .localCA,
                    autoRenew: issued.autoRenew)
            case .acme(let acme):
                let need = WantedCertificate(
                    of: issued, named: certificate.name, from: .init(name: issuer.name, settings: acme))
                return ObtainedCertificate(
                    material: try orders.obtain(need), source: .letsencrypt, autoRenew: issued.autoRenew)
            case .cloudflareOrigin(let settings):
                let need = OriginNeed(of: issued, named: certificate.name, from: issuer.name, settings)
                return ObtainedCertificate(
                    material: try origin.obtain(need, startsAnew: startsAnew), source: .cloudflareOrigin,
                    autoRenew: issued.autoRenew)
            }
        }
    }

    /// Asks the CA of a stored certificate when to renew it (renewal information, RFC 9773) and stores the suggested
    /// time. If the CA can't be reached or gives no advice, it is asked again later.
    package func takeAdvice(on value: any Recorded, named name: String, from issuers: [Issuer]) {
        guard let need = WantedCertificate(value, named: name, from: issuers) else { return }
        orders.takeAdvice(on: name, from: need.issuers.map(\.settings))
    }
}

/// A certificate that was obtained and is not yet stored.
package struct ObtainedCertificate: Sendable {
    package internal(set) var material: IssuedMaterial
    package let source: CertificateFacts.Source
    /// Whether Aegis renews the certificate before it expires.
    package let autoRenew: Bool

    /// Makes the row for the state, with the private key sealed. `now` is in seconds since 1970.
    package func stored(
        named name: String, owner: StoredItem.Owner, record: [UInt8], sealer: Sealer, now: Int64
    ) throws(IssuanceFailure) -> StoredCertificate {
        let leaf = material.chain.leaf
        let facts = CertificateFacts(
            domains: leaf.names.map(\.text), source: source, issuerCommonName: leaf.issuerCommonName ?? "",
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
    /// Converts the key type in aegis.yaml.
    init(_ type: KeyType) { self = KeyAlgorithm(rawValue: type.rawValue) ?? .ecdsaP256 }
}
