import PKI
import State

extension Sealer {
    /// Seals a certificate's private key. The sealed key opens only with the same row (the certificate's name) and the
    /// same leaf. The caller ensures that the key belongs to the leaf.
    package func sealKey(_ der: SecretBytes, ofCertificate name: String, fingerprint: String) throws(SealError)
        -> [UInt8]
    {
        try seal(der, purpose: SealPurpose.certificateKey, row: name, partner: fingerprint)
    }

    /// Opens a private key that `sealKey` sealed for this row and leaf.
    package func openKey(_ sealed: [UInt8], ofCertificate name: String, fingerprint: String) throws(SealError)
        -> SecretBytes
    {
        try open(sealed, purpose: SealPurpose.certificateKey, row: name, partner: fingerprint)
    }
}

extension StoredCertificate {
    /// Whether the key was sealed for its leaf. Earlier versions sealed keys only for their row.
    package var isKeyBoundToLeaf: Bool { Sealer.hasPartner(sealedKey) }

    /// Opens the private key in DER. The key must belong to this row and leaf. The check takes some microseconds. A key
    /// that was not sealed for its leaf is compared with the leaf if `comparesUnbound` is true, which takes a
    /// millisecond.
    ///
    /// - Throws: `IssuanceFailure`, `SealError` or `PKIError` if a part is damaged or was copied from another row.
    package func openKey(_ sealer: Sealer, comparesUnbound: Bool = true) throws -> SecretBytes {
        guard let leaf = try PEM.firstCertificate(in: chain), Digest.sha256Text(leaf) == facts.fingerprint else {
            throw IssuanceFailure("its chain is not the one that was stored")
        }
        let der = try sealer.openKey(sealedKey, ofCertificate: name, fingerprint: facts.fingerprint)
        guard comparesUnbound, !isKeyBoundToLeaf else { return der }
        let certificate = try Certificate(der: leaf)
        guard try PrivateKey(der: der).matches(certificate) else {
            throw PKIError.keyMismatch(subject: certificate.subject)
        }
        return der
    }
}
