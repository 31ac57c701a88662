/// The certificate that answers a tls-alpn-01 challenge (RFC 8737): self-signed, with a new key, for one name.
package struct ChallengeCertificate: Sendable {
    /// The certificate's key (ECDSA P-256).
    package let key: PrivateKey
    /// The certificate, shown to clients that offer `acme-tls/1`.
    package let certificate: Certificate

    /// How long the certificate is valid after `now`, in seconds: a week. Few CAs keep an authorization pending for
    /// longer.
    package static let lifetimeSeconds: Int64 = 7 * 86_400

    /// Makes the certificate for a host name or an address (RFC 8738) and the challenge's key authorization (RFC 8555,
    /// section 8.1). `now` is in seconds since 1970.
    package init(name: SubjectName, keyAuthorization: String, now: Int64) throws(PKIError) {
        key = try PrivateKey.generate(.ecdsaP256)
        let template = CertificateTemplate(
            commonName: "ACME challenge", issuer: nil, publicKeyDER: try key.publicKeyDER(),
            notBefore: now - CertificateAuthority.backdatingSeconds, notAfter: now + Self.lifetimeSeconds,
            extensions: [
                try .names([name], isCritical: false),
                .acmeIdentifier(Digest.sha256(Array(keyAuthorization.utf8))),
            ])
        certificate = try template.signed(by: key)
    }
}
