import ConfigModel
import PKI
import State

/// Cloudflare's Origin CA. Only Cloudflare's edge trusts its certificates.
struct OriginProvider: IssuerProvider {
    static let source = CertificateFacts.Source.cloudflareOrigin
    static let serviceName = "Cloudflare"
    /// Origin CA certificates are valid for up to 15 years. If they were renewed when a third of the lifetime is left,
    /// as other certificates are, that would be up to five years before the expiry.
    static let longestLeadSeconds: Int64? = 30 * 86_400

    private let name: String
    private let settings: CloudflareOriginIssuer

    init?(_ issuer: Issuer) {
        guard let settings = issuer.settings as? CloudflareOriginIssuer else { return nil }
        (name, self.settings) = (issuer.name, settings)
    }

    var address: String { settings.baseURL.text }
    var revokesReplaced: Bool { settings.revokeReplaced }
    var revokesRemoved: Bool { settings.onRemoval == .revoke }

    /// If the answer to an order was lost, Aegis finds the certificate in the list of its zone. Without a `zone_id`
    /// there is no list to search.
    func leavesDoubt(about issued: IssuedCertificate) -> Bool { (issued.zoneID ?? settings.zoneID) == nil }

    func neededSecrets(_ store: (any StateStore)?) -> [Secret] { settings.secrets }

    func issue(
        _ wanted: WantedCertificate, startsAnew: Bool, _ resources: IssuerResources
    ) throws(IssuanceFailure) -> IssuedMaterial {
        let need = OriginOrderRequest(of: wanted, from: name, settings)
        return try OriginOrders(context: resources.context).obtain(need, startsAnew: startsAnew)
    }

    /// Revokes a certificate at Cloudflare, whose API takes no reason.
    func revoke(
        _ certificate: StoredCertificate, _ reason: RevocationReason, _ resources: IssuerResources
    ) throws(IssuanceFailure) -> String {
        guard let remote = certificate.remote else {
            throw IssuanceFailure("the state does not have its identifier at Cloudflare")
        }
        try OriginRevocations(resources.context).revoke(remote.id, settings)
        return "\(remote.id) at Cloudflare"
    }
}
