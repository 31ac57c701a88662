import ConfigModel
import PKI

/// A certificate that an ACME CA should issue.
package struct WantedCertificate: Sendable {
    /// A CA that may issue the certificate.
    package struct CA: Sendable {
        /// The issuer's name in the file.
        package let name: String
        package let settings: ACMEIssuer
    }

    /// The certificate's name in the state.
    package let name: String
    /// The names that the certificate should have.
    package let names: [String]
    /// The CAs to try, in this order.
    package let issuers: [CA]
    /// The kind of key; nil for the kind in the issuer's settings.
    package let keyType: KeyType?

    init(name: String, names: [String], issuers: [CA], keyType: KeyType? = nil) {
        self.name = name
        self.names = names
        self.issuers = issuers
        self.keyType = keyType
    }

    /// Reads a declared certificate; nil when it does not come from an ACME CA.
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

    /// Makes the certificate that a host with `ssl_mode: letsencrypt` needs.
    init(
        of certificate: HostCertificate, named name: String, from issuers: [Issuer]
    ) throws(IssuanceFailure) {
        self.init(
            name: name, names: certificate.domains.map(\.text),
            issuers: try certificate.issuers.map { (issuer) throws(IssuanceFailure) in try CA(issuer, in: issuers) }
        )
    }

    /// Makes a certificate that is declared under `certificates`.
    init(of issued: IssuedCertificate, named name: String, from issuer: CA) {
        self.init(name: name, names: issued.domains.map(\.text), issuers: [issuer], keyType: issued.keyType)
    }
}

extension WantedCertificate.CA {
    /// Finds the ACME issuer with this name.
    init(_ name: String, in issuers: [Issuer]) throws(IssuanceFailure) {
        guard let issuer = issuers.first(where: { $0.name == name }), case .acme(let settings) = issuer.kind else {
            throw IssuanceFailure("there is no ACME issuer '\(name)'")
        }
        self.init(name: name, settings: settings)
    }
}
