import ConfigModel

/// An issuer in aegis.yaml whose CA speaks ACME (RFC 8555).
package struct ACMEAuthority: Sendable {
    /// The issuer's name in aegis.yaml.
    package let name: String
    package let settings: ACMEIssuer

    package init(name: String, settings: ACMEIssuer) {
        self.name = name
        self.settings = settings
    }

    /// Returns nil if the issuer is not an ACME CA.
    package init?(_ issuer: Issuer) {
        guard let settings = issuer.settings as? ACMEIssuer else { return nil }
        self.init(name: issuer.name, settings: settings)
    }
}

extension WantedCertificate {
    /// The ACME CAs among the certificate's issuers.
    package var authorities: [ACMEAuthority] { issuers.compactMap { ACMEAuthority($0) } }
}
