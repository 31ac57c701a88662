/// The self-signed certificate that answers a tls-alpn-01 challenge for one name (RFC 8737).
package struct ChallengeCertificate: Sendable {
    package let key: PrivateKey
    /// The certificate, which the gateway sends to clients that offer the protocol `acme-tls/1`.
    package let certificate: Certificate

    /// How long the certificate is valid after `now`, in seconds: a week. Few CAs keep an authorization pending longer.
    package static let lifetimeSeconds: Int64 = 7 * 86_400

    /// Makes the certificate. `name` is a host name or an IP address (RFC 8738). `keyAuthorization` is the challenge's
    /// text from RFC 8555 section 8.1. `now` is in seconds since 1970.
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
