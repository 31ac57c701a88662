import ConfigModel
import PKI

/// A certificate that an ACME CA is to issue.
package struct WantedCertificate: Sendable {
    /// One CA that may issue it.
    package struct CA: Sendable {
        /// Its name in the file.
        package let name: String
        /// How it is talked to.
        package let settings: ACMEIssuer
    }

    /// The certificate's name in the state.
    package let name: String
    /// The names it is for.
    package let names: [String]
    /// The CAs to try, in this order.
    package let issuers: [CA]
    /// The kind of its key; nil for what the issuer says.
    package let keyType: KeyType?

    init(name: String, names: [String], issuers: [CA], keyType: KeyType? = nil) {
        self.name = name
        self.names = names
        self.issuers = issuers
        self.keyType = keyType
    }

    /// What a declared certificate needs; nil when it does not come from an ACME CA.
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

    /// Of a host's certificate.
    init(
        of certificate: HostCertificate, named name: String, from issuers: [Issuer]
    ) throws(IssuanceFailure) {
        self.init(
            name: name, names: certificate.domains.map(\.text),
            issuers: try certificate.issuers.map { (issuer) throws(IssuanceFailure) in try CA(issuer, in: issuers) }
        )
    }

    /// Of a certificate that is declared by itself.
    init(of issued: IssuedCertificate, named name: String, from issuer: CA) {
        self.init(name: name, names: issued.domains.map(\.text), issuers: [issuer], keyType: issued.keyType)
    }
}

extension WantedCertificate.CA {
    /// The ACME issuer of this name.
    init(_ name: String, in issuers: [Issuer]) throws(IssuanceFailure) {
        guard let issuer = issuers.first(where: { $0.name == name }), case .acme(let settings) = issuer.kind else {
            throw IssuanceFailure("there is no ACME issuer '\(name)'")
        }
        self.init(name: name, settings: settings)
    }
}
