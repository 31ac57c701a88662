import ConfigModel
import PKI

/// A certificate that Aegis wants an ACME CA to issue.
package struct WantedCertificate: Sendable {
    /// An ACME issuer that may be asked for the certificate.
    package struct CA: Sendable {
        /// The issuer's name in aegis.yaml.
        package let name: String
        package let settings: ACMEIssuer
    }

    /// The certificate's name in the state.
    package let name: String
    /// The host names and IP addresses in the certificate.
    package let names: [String]
    /// The CAs to try, in this order.
    package let issuers: [CA]
    /// The type of the key. Nil means the type in the issuer's settings.
    package let keyType: KeyType?

    init(name: String, names: [String], issuers: [CA], keyType: KeyType? = nil) {
        self.name = name
        self.names = names
        self.issuers = issuers
        self.keyType = keyType
    }

    /// Makes a wanted certificate from a declaration in the state. Returns nil if the certificate does not come from an
    /// ACME CA.
    package init?(_ value: any Recorded, named name: String, from issuers: [Issuer]) {
        switch value {
        case let certificate as HostCertificate:
            guard let need = try? WantedCertificate(of: certificate, named: name, from: issuers) else { return nil }
            self = need
        case let certificate as NamedCertificate:
            guard case .issued(let issued) = certificate.source, let issuer = try? CA(issued.issuer, in: issuers)
            else { return nil }
            self.init(of: issued, named: name, from: issuer)
        default: return nil
        }
    }

    /// Makes the wanted certificate for a host with `ssl_mode: letsencrypt`.
    init(
        of certificate: HostCertificate, named name: String, from issuers: [Issuer]
    ) throws(IssuanceFailure) {
        self.init(
            name: name, names: certificate.domains.map(\.text),
            issuers: try certificate.issuers.map { (issuer) throws(IssuanceFailure) in try CA(issuer, in: issuers) }
        )
    }

    /// Makes the wanted certificate for a declaration under `certificates`.
    init(of issued: IssuedCertificate, named name: String, from issuer: CA) {
        self.init(name: name, names: issued.domains.map(\.text), issuers: [issuer], keyType: issued.keyType)
    }
}

extension WantedCertificate.CA {
    /// Finds the ACME issuer with this name. Throws if there is none.
    init(_ name: String, in issuers: [Issuer]) throws(IssuanceFailure) {
        guard let issuer = issuers.first(where: { $0.name == name }), case .acme(let settings) = issuer.kind else {
            throw IssuanceFailure("there is no ACME issuer '\(name)'")
        }
        self.init(name: name, settings: settings)
    }
}
