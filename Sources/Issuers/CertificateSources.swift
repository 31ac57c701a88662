import ConfigModel
import PKI
import State

/// Finds who makes a certificate, and asks.
package struct CertificateSources: Sendable {
    private let own: OwnCertificate
    private let local: Result<LocalAuthority, IssuanceFailure>
    private let orders: ACMEOrders
    private let origin: OriginOrders
    private let store: any StateStore
    private let now: @Sendable () -> Int64
    private let leaving: [Issuer]

    /// The sources. Without a local CA only what it was to issue fails. `leaving` are issuers of the state that are taken out: they
    /// issue nothing, and may still be asked to revoke.
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

    /// Has a certificate that is declared, and names it as the state does.
    ///
    /// `users` are the hosts that an operator's own certificate must cover. `startsAnew` gives up an order of which nobody can
    /// tell whether a certificate has come. Blocks for as long as a CA takes: minutes, at worst.
    package func obtain(
        _ value: any Recorded, named name: String, for users: [DomainName], from issuers: [Issuer],
        startsAnew: Bool = false
    ) throws(IssuanceFailure) -> ObtainedCertificate {
        var obtained = try obtainAlone(value, named: name, for: users, from: issuers, startsAnew: startsAnew)
        do throws(StateError) {
            obtained.material.closing += try supersedes(name, obtained.material, issuers).map { [.supersede($0)] } ?? []
        } catch {
            throw IssuanceFailure("\(error)")
        }
        return obtained
    }

    /// What is to be revoked when this takes its place, wherever it comes from: the issuer of the former certificate says so.
    private func supersedes(
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

    /// Asks the CA of a certificate that is stored when it advises to renew it, and notes that in the state. Issuers that
    /// give no advice, or can't be reached, are asked again later.
    package func takeAdvice(on value: any Recorded, named name: String, from issuers: [Issuer]) {
        guard let need = WantedCertificate(value, named: name, from: issuers) else { return }
        orders.takeAdvice(on: name, from: need.issuers.map(\.settings))
    }
}

/// A certificate that was obtained, before it is stored.
package struct ObtainedCertificate: Sendable {
    /// Chain and key.
    package internal(set) var material: IssuedMaterial
    /// Where it came from.
    package let source: CertificateFacts.Source
    /// Whether it is renewed before it expires.
    package let autoRenew: Bool

    /// The certificate as the state keeps it, its key sealed. `now` is in seconds since 1970.
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
    /// The algorithm of a kind of key in the file.
    init(_ type: KeyType) { self = KeyAlgorithm(rawValue: type.rawValue) ?? .ecdsaP256 }
}
