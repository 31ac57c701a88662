import ConfigModel
import PKI
import State

/// The CA that this machine keeps itself (`LocalAuthority`). It can't revoke certificates.
struct LocalCAProvider: IssuerProvider {
    static let source = CertificateFacts.Source.localCA
    static let isLocal = true
    static let canRevoke = false
    static let serviceName = "the local CA"

    init?(_ issuer: Issuer) {
        guard issuer.settings is LocalCAIssuer else { return nil }
    }

    func neededSecrets(_ store: (any StateStore)?) -> [Secret] { [] }

    func issue(
        _ wanted: WantedCertificate, startsAnew: Bool, _ resources: IssuerResources
    ) throws(IssuanceFailure) -> IssuedMaterial {
        let algorithm = KeyAlgorithm(wanted.keyType ?? .ecdsaP256)
        return try resources.local.get().issue(for: wanted.names, algorithm, now: resources.context.now())
    }

    func revoke(
        _ certificate: StoredCertificate, _ reason: RevocationReason, _ resources: IssuerResources
    ) throws(IssuanceFailure) -> String {
        throw IssuanceFailure("the local CA revokes nothing")
    }
}
