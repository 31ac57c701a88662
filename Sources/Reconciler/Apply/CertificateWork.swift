import ConfigModel
import Issuers
import PKI
import State

/// Has certificates ready to be stored. Several threads do it at once, so it holds values alone.
struct CertificateWork: Sendable {
    /// A certificate that is to be had.
    struct Order: Sendable {
        let change: Change
        let item: DeclaredItem
    }

    /// What is told meanwhile.
    enum Event: Sendable {
        case started(Change)
        case ready(Change, StoredCertificate, warnings: [String])
        case failed(Change, IssuanceFailure)
    }

    let sealer: Sealer
    let sources: CertificateSources
    let configuration: Configuration
    /// The names that each certificate's hosts answer to.
    let users: [String: [DomainName]]
    let now: @Sendable () -> Int64

    func carryOut(_ order: Order, _ tell: (Event) -> Void) {
        tell(.started(order.change))
        do throws(IssuanceFailure) {
            let name = order.item.id.name
            let (material, source, autoRenew) = try sources.obtain(
                configuration.value(of: order.item), for: users[name] ?? [], of: configuration)
            let stored = try store(material, source, autoRenew, named: name, configuration.record(of: order.item))
            tell(.ready(order.change, stored, warnings: material.warnings))
        } catch {
            tell(.failed(order.change, error))
        }
    }

    private func store(
        _ material: IssuedMaterial, _ source: CertificateFacts.Source, _ autoRenew: Bool, named name: String,
        _ record: [UInt8]
    ) throws(IssuanceFailure) -> StoredCertificate {
        let leaf = material.chain.leaf
        let facts = CertificateFacts(
            domains: leaf.names.map(\.text), source: source, issuerCommonName: leaf.issuerCommonName ?? "",
            notBefore: leaf.notBefore, expiresAt: leaf.notAfter, autoRenew: autoRenew, createdAt: now(),
            fingerprint: leaf.fingerprint, sourceDigest: material.sourceDigest)
        let key: [UInt8]
        do {
            key = try sealer.seal(material.key.der(), purpose: SealPurpose.certificateKey, row: name)
        } catch {
            throw IssuanceFailure("its key can't be sealed: \(error)")
        }
        return StoredCertificate(
            name: name, owner: .file, record: record, facts: facts, chain: Array(material.chain.pem.utf8),
            sealedKey: key)
    }
}
