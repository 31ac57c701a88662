import ConfigModel
import Issuers
import PKI
import State

/// Finds who makes a certificate, and asks.
public struct CertificateSources: Sendable {
    private let own: OwnCertificate
    private let local: LocalAuthority
    private let now: @Sendable () -> Int64

    /// The sources of an apply; `now` gives seconds since 1970.
    public init(own: OwnCertificate, local: LocalAuthority, now: @escaping @Sendable () -> Int64) {
        self.own = own
        self.local = local
        self.now = now
    }

    /// The material of a declared certificate, and what is to be known of it. `users` are the hosts that it must cover.
    func obtain(_ value: any Recorded, for users: [DomainName], of configuration: Configuration) throws(IssuanceFailure)
        -> (material: IssuedMaterial, source: CertificateFacts.Source, autoRenew: Bool)
    {
        guard let certificate = value as? NamedCertificate else {
            throw Self.unavailable("acme")
        }
        switch certificate.source {
        case .custom(let custom):
            return (try own.load(custom, for: users, now: now()), .custom, false)
        case .issued(let issued):
            guard let issuer = configuration.issuers.first(where: { $0.name == issued.issuer }) else {
                throw IssuanceFailure("unknown issuer '\(issued.issuer)'")
            }
            guard case .localCA = issuer.kind else { throw Self.unavailable(issuer.typeName) }
            let algorithm = KeyAlgorithm(rawValue: (issued.keyType ?? .ecdsaP256).rawValue) ?? .ecdsaP256
            let material = try local.issue(for: issued.domains.map(\.text), algorithm, now: now())
            return (material, .localCA, issued.autoRenew)
        }
    }

    private static func unavailable(_ type: String) -> IssuanceFailure {
        IssuanceFailure(
            "issuers of type \(type) are not available in this version",
            hint: "all else is in force; until then the host is served with the fallback certificate")
    }
}
