import PeerNames

/// An X.509 certificate (RFC 5280). Its fields are parsed once, when it is read. Certificates with equal DER are equal.
package struct Certificate: Sendable {
    /// The certificate in DER, unchanged.
    package let der: [UInt8]
    /// The subject alternative names. The common name does not count as a name (RFC 9525).
    package let names: [SubjectName]
    /// The subject's common name, only for people to read.
    package let subjectCommonName: String?
    package let issuerCommonName: String?
    /// The start of the validity, in seconds since 1970.
    package let notBefore: Int64
    /// The end of the validity, in seconds since 1970.
    package let notAfter: Int64
    /// The bytes of the serial number's DER integer in hex, without tag and length. They may begin with 00.
    package let serial: String
    /// The SHA-256 of the DER in lower-case hex.
    package let fingerprint: String
    /// The allowed uses of the key. Nil if the certificate has no key usage, and so allows all uses.
    package let keyUsage: KeyUsage?
    /// The object identifiers of the extended key usages, such as "1.3.6.1.5.5.7.3.1" for servers. Empty if all are
    /// allowed.
    package let extendedKeyUsages: [String]
    /// Whether this is a CA's certificate (basic constraints).
    package let isCA: Bool
    /// How many CA certificates may be between this CA and a leaf. Nil means any number.
    package let pathLength: Int?
    /// The identifier of the issuer's key. It tells apart several keys of one issuer. Nil if the certificate does not
    /// have it.
    package let authorityKeyIdentifier: [UInt8]?
    /// The identifier of the certificate's own key. Nil if the certificate does not have it.
    package let subjectKeyIdentifier: [UInt8]?
    /// The public key in DER, as a SubjectPublicKeyInfo.
    package let publicKeyDER: [UInt8]
    /// Whether the certificate names a location of its issuer's certificate (RFC 5280 section 4.2.2.1).
    package let locatesIssuer: Bool
    /// The first http or https URL from which the issuer's certificate can be downloaded. Nil if there is none.
    package let issuerAddress: String?
    /// Whether the issuer and the subject have the same name, as in a root.
    package let isSelfIssued: Bool
    let publicKeyKindValue: KeyKind
    /// The security strength of the signature in bits: 63 for SHA-1, 0 if unknown.
    let signatureSecurityBits: Int

    /// The key's algorithm and size for messages, such as "ECDSA P-256" or "RSA 2048".
    package var publicKeyKind: String { publicKeyKindValue.description }

    /// The certificate's label in messages: its common name, or else its first alternative name, or else its serial
    /// number.
    package var subject: String {
        (subjectCommonName ?? names.first?.text).map(\.oneLine) ?? "serial \(serial)"
    }

    /// The bytes of the serial number's DER integer, without tag and length.
    package var serialBytes: [UInt8] { Hex.bytes(serial) ?? [] }

    package var pem: String { PEM.text("CERTIFICATE", der) }

    /// Whether `time`, in seconds since 1970, is within the validity.
    package func isValid(at time: Int64) -> Bool { notBefore <= time && time < notAfter }

    /// Whether this CA certificate expires much earlier than a leaf below it: by more than a tenth of the leaf's
    /// lifetime, or by more than a day if that is shorter. A difference of some seconds is normal when one program
    /// makes both certificates.
    package func endsBefore(_ leaf: Certificate) -> Bool { endsBefore((leaf.notBefore, leaf.notAfter)) }

    /// Makes the same comparison for a leaf of which only the validity is known, in seconds since 1970.
    package func endsBefore(_ leaf: (notBefore: Int64, notAfter: Int64)) -> Bool {
        leaf.notAfter - notAfter > min(86_400, max(0, leaf.notAfter - leaf.notBefore) / 10)
    }

    /// Throws if the key is weaker than RSA 2048 or EC 256, or if the signature uses a broken hash such as SHA-1. A
    /// root's own signature is not checked, since clients do not verify it.
    package func checkStrength() throws(PKIError) {
        if case .explicitECDSA = publicKeyKindValue { throw .explicitCurve(certificate: subject) }
        try publicKeyKindValue.checkStrength()
        // OpenSSL's security level 2 requires 112 bits. The gateway's TLS rejects weaker signatures.
        guard isSelfIssued || signatureSecurityBits >= 112 else { throw .weakSignature(subject: subject) }
    }
}

extension Certificate: Hashable {
    package static func == (left: Certificate, right: Certificate) -> Bool { left.der == right.der }

    package func hash(into hasher: inout Hasher) { hasher.combine(fingerprint) }
}

extension Certificate {
    /// Whether a client that connects to `host` accepts the certificate (RFC 9525 section 6.3). The case of letters and
    /// one final dot do not matter. A wildcard stands for exactly one label, and needs at least two labels after it. An
    /// IP address must be the same address. If `host` is itself a wildcard, the certificate must contain the same
    /// wildcard.
    package func covers(_ host: String) -> Bool {
        if let address = AddressText.bytes(of: host) {
            return names.contains(.ip(AddressText.text(of: address)))
        }
        var host = AddressText.lowercased(host)
        if host.utf8.last == UInt8(ascii: ".") { host.removeLast() }
        guard !host.isEmpty else { return false }
        if names.contains(.dns(host)) { return true }
        guard let dot = host.firstIndex(of: "."), dot != host.startIndex, !host.hasPrefix("*.") else { return false }
        let parent = host[dot...]
        return parent.dropFirst().contains(".") && names.contains(.dns("*\(parent)"))
    }
}
