import ConfigModel
import State

/// An item that the file asks for.
struct DeclaredItem {
    let id: ItemID
    let value: any Recorded
    /// What is done when the state does not have it, and when it has another.
    let creation: Action
    let replacement: Action
    /// Whether it is to be had now; what is not wanted now is kept if it is there.
    var isWanted = true
    /// Whether its content is known only when it is applied, and why.
    var unknown: String?
    /// For the operator's own certificates: a digest of what they are read from.
    var sourceDigest: [UInt8]?
}

extension Configuration {
    /// Calls `visit` with everything the file asks for, in the order of dependence.
    func forEachItem(materials: [String: CertificateMaterial], _ visit: (DeclaredItem) -> Void) {
        visit(
            DeclaredItem(
                id: ItemID(.gateway, "gateway"), value: gateway, creation: .create, replacement: .update))
        for issuer in issuers {
            visit(
                DeclaredItem(id: ItemID(.issuer, issuer.name), value: issuer, creation: .create, replacement: .update))
        }
        for certificate in certificates { visit(declared(certificate, materials[certificate.name])) }
        for host in hosts {
            guard let certificate = HostCertificate(for: host) else { continue }
            visit(
                DeclaredItem(
                    id: ItemID(.certificate, host.domain.text), value: certificate, creation: .issue,
                    replacement: .issue, isWanted: host.enabled))
        }
        for certificate in edgeCertificates {
            visit(
                DeclaredItem(
                    id: ItemID(.edgeCertificate, certificate.displayName), value: certificate, creation: .order,
                    replacement: .order))
        }
        for host in hosts {
            visit(
                DeclaredItem(id: ItemID(.host, host.domain.text), value: host, creation: .create, replacement: .update))
        }
    }

    private func declared(_ certificate: NamedCertificate, _ material: CertificateMaterial?) -> DeclaredItem {
        let id = ItemID(.certificate, certificate.name)
        switch certificate.source {
        case .issued:
            return DeclaredItem(id: id, value: certificate, creation: .issue, replacement: .issue)
        case .custom:
            var item = DeclaredItem(id: id, value: certificate, creation: .upload, replacement: .upload)
            switch material {
            case .unreadable(let reason): item.unknown = reason
            case .readable(let digest): item.sourceDigest = digest
            case nil: break
            }
            return item
        }
    }
}

/// What could be learnt of a custom certificate's PEM texts where the plan is made.
public enum CertificateMaterial: Sendable {
    /// They are there; the certificate's text has this digest.
    case readable(digest: [UInt8])
    /// One can't be read here, for this reason; a pull request's machine has no keys.
    case unreadable(String)
}
