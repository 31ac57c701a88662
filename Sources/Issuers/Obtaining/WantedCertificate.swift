import ConfigModel

/// A certificate that Aegis wants an issuer to issue.
package struct WantedCertificate: Sendable {
    /// The certificate's name in the state.
    package let name: String
    /// The host names and IP addresses in the certificate.
    package let names: [String]
    /// The issuers to try, in this order.
    package let issuers: [Issuer]
    /// The type of the key. Nil means the type in the issuer's settings.
    package let keyType: KeyType?
    /// The id of the Cloudflare zone, for a certificate of the Origin CA. Nil means the zone in the issuer's settings.
    let zoneID: String?

    init(name: String, names: [String], issuers: [Issuer], keyType: KeyType? = nil, zoneID: String? = nil) {
        self.name = name
        self.names = names
        self.issuers = issuers
        self.keyType = keyType
        self.zoneID = zoneID
    }

    /// Makes a wanted certificate from a declaration in aegis.yaml or in the state. `issuers` are all issuers in the
    /// same place.
    ///
    /// - Throws: If an issuer is unknown, or if the declaration names no issuer, as that of an operator's own
    ///   certificate.
    package init(_ value: any Recorded, named name: String, from issuers: [Issuer]) throws(IssuanceFailure) {
        func issuer(_ name: String) throws(IssuanceFailure) -> Issuer {
            guard let issuer = issuers.first(where: { $0.name == name }) else {
                throw IssuanceFailure("unknown issuer '\(name)'")
            }
            return issuer
        }
        switch value {
        case let certificate as HostCertificate:
            self.init(
                name: name, names: certificate.domains.map(\.text),
                issuers: try certificate.issuers.map { (name) throws(IssuanceFailure) in try issuer(name) })
        case let certificate as NamedCertificate:
            guard case .issued(let issued) = certificate.source else { fallthrough }
            self.init(
                name: name, names: issued.domains.map(\.text), issuers: [try issuer(issued.issuer)],
                keyType: issued.keyType, zoneID: issued.zoneID)
        default: throw IssuanceFailure("'\(name)' is no certificate that an issuer issues")
        }
    }
}
