/// A local certificate authority: its key, and the certificate that clients trust.
package struct CertificateAuthority: Sendable {
    package let key: PrivateKey
    package let certificate: Certificate

    /// The default lifetime of a root, in seconds: ten years.
    package static let rootLifetimeSeconds: Int64 = 3650 * 86400
    /// The maximum lifetime of a leaf, in seconds: 397 days. Apple's clients reject leaves of more than 398 days.
    package static let maximumLeafLifetimeSeconds: Int64 = 397 * 86400
    /// New certificates are valid from this many seconds before now, since the clocks of some clients are slow.
    package static let backdatingSeconds: Int64 = 300

    /// Makes an authority from an existing root. Throws if the key and the certificate don't match, or if the
    /// certificate may not sign other certificates.
    package init(key: PrivateKey, certificate: Certificate) throws(PKIError) {
        guard key.matches(certificate) else { throw .keyMismatch(subject: certificate.subject) }
        guard certificate.isCA, certificate.keyUsage?.contains(.keyCertSign) ?? true else {
            throw .unusableAuthority(reason: "'\(certificate.subject)' is not a certificate authority's certificate")
        }
        self.key = key
        self.certificate = certificate
    }

    /// Makes a root with a new ECDSA P-256 key. The root may sign leaves, but no further CA certificates. `commonName`
    /// has 1 to 64 characters. `now` is in seconds since 1970.
    package static func makeRoot(
        commonName: String, now: Int64, lifetimeSeconds: Int64 = rootLifetimeSeconds
    ) throws(PKIError) -> CertificateAuthority {
        let key = try PrivateKey.generate(.ecdsaP256)
        let template = CertificateTemplate(
            commonName: commonName, issuer: nil, publicKeyDER: try key.publicKeyDER(),
            notBefore: try checked(now) - backdatingSeconds, notAfter: now + (try checked(lifetimeSeconds)),
            extensions: [.authority(pathLength: 0), .usage([.keyCertSign, .cRLSign])])
        return try CertificateAuthority(key: key, certificate: template.signed(by: key))
    }

    /// Issues a server certificate for the public half of `key`. With `isForClients`, clients may use it too. Its
    /// validity starts five minutes before `now` (in seconds since 1970) and lasts until `lifetimeSeconds` after `now`,
    /// but at most 397 days and not beyond the root's validity.
    package func issue(
        for key: PrivateKey, names: [SubjectName], now: Int64, lifetimeSeconds: Int64, isForClients: Bool = false
    ) throws(PKIError) -> Certificate {
        try issue(
            key.publicKeyDER(), key.keyKind, names: names, now: now, lifetimeSeconds: lifetimeSeconds,
            isForClients: isForClients)
    }

    /// Issues a server certificate for a request's public key. The certificate gets the given names; the names in the
    /// request are ignored.
    package func issue(
        for request: CertificateRequest, names: [SubjectName], now: Int64, lifetimeSeconds: Int64
    ) throws(PKIError) -> Certificate {
        try issue(request.publicKeyDER, request.keyKind, names: names, now: now, lifetimeSeconds: lifetimeSeconds)
    }

    private func issue(
        _ publicKeyDER: [UInt8], _ kind: KeyKind, names: [SubjectName], now: Int64, lifetimeSeconds: Int64,
        isForClients: Bool = false
    ) throws(PKIError) -> Certificate {
        let notBefore = try max(certificate.notBefore, Self.checked(now) - Self.backdatingSeconds)
        let notAfter = try min(
            certificate.notAfter, now + Self.checked(lifetimeSeconds), notBefore + Self.maximumLeafLifetimeSeconds)
        guard notBefore <= now, now < notAfter else {
            throw .unusableAuthority(reason: "'\(certificate.subject)' is not valid now")
        }
        let commonName = SubjectName.commonName(for: names)
        var usage: KeyUsage = .digitalSignature
        if case .rsa = kind { usage.insert(.keyEncipherment) }
        let template = CertificateTemplate(
            commonName: commonName, issuer: certificate, publicKeyDER: publicKeyDER,
            notBefore: notBefore, notAfter: notAfter,
            extensions: [
                .endEntity, .usage(usage), .authentication(ofClients: isForClients),
                try .names(names, isCritical: commonName == nil),
            ])
        return try template.signed(by: key)
    }

    /// Returns the argument. Throws if it is negative or so large that the year could exceed 9999, the last year in
    /// X.509.
    private static func checked(_ seconds: Int64) throws(PKIError) -> Int64 {
        guard (0...250_000_000_000).contains(seconds) else {
            throw .unusableAuthority(reason: "\(seconds) s is no time that a certificate can hold")
        }
        return seconds
    }
}
