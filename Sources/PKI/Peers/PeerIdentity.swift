import PeerNames

/// What a verified certificate says about its owner. Only a certificate that `PeerTrust` has accepted may be read as an
/// identity.
package struct PeerIdentity: Sendable {
    /// The certificate in DER.
    package let certificate: [UInt8]
    /// The names by which rules know the owner: those of `PeerName`'s kinds that keep to their grammar.
    package let names: [PeerName]
    /// The subject in the form of RFC 4514, escaped and cut (`PeerCertificate.maximumTextBytes`).
    package let subject: String
    /// The SHA-256 of the certificate as lower-case hex.
    package let fingerprint: String
    /// The end of the validity, in seconds since 1970.
    package let notAfter: Int64

    /// Reads a certificate in DER; nil if it can't be read.
    package init?(certificate der: [UInt8]) {
        guard let handle = try? CertificateHandle(der: der) else { return nil }
        defer { extendLifetime(handle) }
        let facts = unsafe PeerCertificate(handle.handle)
        guard let notAfter = facts.notAfter,
            let names = try? unsafe PeerName.names(of: X509ExtensionReader(certificate: handle.handle))
        else { return nil }
        certificate = der
        self.names = names
        self.notAfter = notAfter
        (subject, fingerprint) = (facts.subject, facts.fingerprint)
    }
}
