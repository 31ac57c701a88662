/// A certificate authority of our own: its key, and the certificate that clients trust.
package struct CertificateAuthority: Sendable {
    package let key: PrivateKey
    package let certificate: Certificate

    /// How long a root lasts by default, in seconds: ten years.
    package static let rootLifetimeSeconds: Int64 = 3650 * 86400
    /// The longest a leaf lasts, in seconds: 397 days. Apple's clients accept no more than 398.
    package static let maximumLeafLifetimeSeconds: Int64 = 397 * 86400
    /// How far before now a new certificate's validity begins, in seconds, for clients whose clocks are slow.
    package static let backdatingSeconds: Int64 = 300

    /// Uses an existing authority. Throws when the key is not the certificate's, or the certificate may not sign
    /// others.
    package init(key: PrivateKey, certificate: Certificate) throws(PKIError) {
        guard key.matches(certificate) else { throw .keyMismatch(subject: certificate.subject) }
        guard certificate.isCA, certificate.keyUsage?.contains(.keyCertSign) ?? true else {
            throw .unusableAuthority(reason: "'\(certificate.subject)' is not a certificate authority's certificate")
        }
        self.key = key
        self.certificate = certificate
    }

    /// Makes a root with a new key (ECDSA P-256), which may sign leaves only. The common name has 1 to 64 characters;
    /// times are in seconds since 1970 UTC, lifetimes in seconds.
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

    /// Issues a server's certificate for the public half of a key. It is valid from five minutes before `now` until
    /// `lifetimeSeconds` after `now`, but for at most 397 days and only within the authority's own validity.
    package func issue(
        for key: PrivateKey, names: [SubjectName], now: Int64, lifetimeSeconds: Int64
    ) throws(PKIError) -> Certificate {
        try issue(key.publicKeyDER(), key.keyKind, names: names, now: now, lifetimeSeconds: lifetimeSeconds)
    }

    /// Issues a server's certificate for a request's public key and the given names; the request's own names are
    /// ignored.
    package func issue(
        for request: CertificateRequest, names: [SubjectName], now: Int64, lifetimeSeconds: Int64
    ) throws(PKIError) -> Certificate {
        try issue(request.publicKeyDER, request.keyKind, names: names, now: now, lifetimeSeconds: lifetimeSeconds)
    }

    private func issue(
        _ publicKeyDER: [UInt8], _ kind: KeyKind, names: [SubjectName], now: Int64, lifetimeSeconds: Int64
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
                .endEntity, .usage(usage), .serverAuthentication,
                try .names(names, isCritical: commonName == nil),
            ])
        return try template.signed(by: key)
    }

    /// Returns a time or a lifetime. Throws if X.509, whose times end with the year 9999, can't express it.
    private static func checked(_ seconds: Int64) throws(PKIError) -> Int64 {
        guard (0...250_000_000_000).contains(seconds) else {
            throw .unusableAuthority(reason: "\(seconds) s is no time that a certificate can hold")
        }
        return seconds
    }
}
