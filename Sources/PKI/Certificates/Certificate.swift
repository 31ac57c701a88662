/// An X.509 certificate (RFC 5280): its DER, and the fields that were read from it once. Two certificates are equal
/// when their DER is.
package struct Certificate: Sendable {
    /// The certificate's DER, exactly as it was signed.
    package let der: [UInt8]
    /// The subject alternative names. The common name doesn't count as a name (RFC 9525).
    package let names: [SubjectName]
    /// The subject's common name, for people to read.
    package let subjectCommonName: String?
    package let issuerCommonName: String?
    /// The begin of the validity, in seconds since 1970 UTC.
    package let notBefore: Int64
    /// The end of the validity, in seconds since 1970 UTC.
    package let notAfter: Int64
    /// The serial number's content bytes in DER as hex, a leading 00 included.
    package let serial: String
    /// The SHA-256 of the DER as lower-case hex.
    package let fingerprint: String
    /// The operations that the key may be used for; nil when the certificate doesn't say, which allows everything.
    package let keyUsage: KeyUsage?
    /// The object identifiers of the extended key usages, such as "1.3.6.1.5.5.7.3.1" for a server; an empty list
    /// allows all.
    package let extendedKeyUsages: [String]
    /// Whether the certificate's key may issue certificates.
    package let isCA: Bool
    /// How many further authorities may stand below this one; nil for any number.
    package let pathLength: Int?
    /// Identifies the issuer's key that signed this certificate.
    package let authorityKeyIdentifier: [UInt8]?
    /// Identifies the certificate's own key.
    package let subjectKeyIdentifier: [UInt8]?
    /// The public key as SubjectPublicKeyInfo in DER.
    package let publicKeyDER: [UInt8]
    /// Whether the certificate says where its issuer's certificate can be fetched (RFC 5280, section 4.2.2.1).
    package let locatesIssuer: Bool
    /// The first web address where the issuer's certificate can be fetched; nil when there is none that can be shown.
    package let issuerAddress: String?
    /// Whether issuer and subject have the same name.
    package let isSelfIssued: Bool
    let publicKeyKindValue: KeyKind
    /// How hard the signature is to forge, in bits: 63 for SHA-1, 0 if unknown.
    let signatureSecurityBits: Int

    /// The kind for messages, such as "ECDSA P-256" or "RSA 2048".
    package var publicKeyKind: String { publicKeyKindValue.description }

    /// How messages name this certificate: by its common name, else its first name, else its serial.
    package var subject: String {
        (subjectCommonName ?? names.first?.text).map(\.oneLine) ?? "serial \(serial)"
    }

    /// The serial number's content bytes in DER, a leading 00 included.
    package var serialBytes: [UInt8] { Hex.bytes(serial) ?? [] }

    package var pem: String { PEM.text("CERTIFICATE", der) }

    /// Whether `time`, in seconds since 1970, is within the certificate's validity.
    package func isValid(at time: Int64) -> Bool { notBefore <= time && time < notAfter }

    /// Whether this authority's certificate expires much earlier than a leaf below it: by more than a day, or than a
    /// tenth of a short leaf's lifetime. Certificates that were made together often end some seconds apart, which
    /// doesn't count.
    package func endsBefore(_ leaf: Certificate) -> Bool {
        leaf.notAfter - notAfter > min(86_400, max(0, leaf.notAfter - leaf.notBefore) / 10)
    }

    /// Throws for keys below RSA 2048 or EC 256. Throws also for signatures with a broken hash, unless issuer and
    /// subject are the same: nobody verifies a root's signature.
    package func checkStrength() throws(PKIError) {
        if case .explicitECDSA = publicKeyKindValue { throw .explicitCurve(certificate: subject) }
        try publicKeyKindValue.checkStrength()
        // 112 bits is OpenSSL's security level 2. The gateway's TLS refuses anything below it.
        guard isSelfIssued || signatureSecurityBits >= 112 else { throw .weakSignature(subject: subject) }
    }
}

extension Certificate: Hashable {
    package static func == (left: Certificate, right: Certificate) -> Bool { left.der == right.der }

    package func hash(into hasher: inout Hasher) { hasher.combine(fingerprint) }
}

extension Certificate {
    /// Whether a client that asked for this host accepts the certificate (RFC 9525, section 6.3). Case and one trailing
    /// dot make no difference. A wildcard stands for exactly one label, above at least two others. An address matches
    /// only the same address. A host that is a wildcard itself is covered only by the same wildcard.
    package func covers(_ host: String) -> Bool {
        if let address = SubjectName.addressBytes(host) {
            return names.contains(.ip(SubjectName.addressText(address)))
        }
        var host = SubjectName.lowercased(host)
        if host.utf8.last == UInt8(ascii: ".") { host.removeLast() }
        guard !host.isEmpty else { return false }
        if names.contains(.dns(host)) { return true }
        guard let dot = host.firstIndex(of: "."), dot != host.startIndex, !host.hasPrefix("*.") else { return false }
        let parent = host[dot...]
        return parent.dropFirst().contains(".") && names.contains(.dns("*\(parent)"))
    }
}
