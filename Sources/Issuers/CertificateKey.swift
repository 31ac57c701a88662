import PKI
import State

extension Sealer {
    /// Seals a certificate's key for the row with its name, and for its leaf. The key must be the leaf's.
    package func sealKey(_ der: SecretBytes, ofCertificate name: String, fingerprint: String) throws(SealError)
        -> [UInt8]
    {
        try seal(der, purpose: SealPurpose.certificateKey, row: name, partner: fingerprint)
    }

    /// Opens a certificate's key, which was sealed for this row and leaf.
    package func openKey(_ sealed: [UInt8], ofCertificate name: String, fingerprint: String) throws(SealError)
        -> SecretBytes
    {
        try open(sealed, purpose: SealPurpose.certificateKey, row: name, partner: fingerprint)
    }
}

extension StoredCertificate {
    /// Whether the key was sealed for its leaf too. Earlier versions sealed keys for their row alone.
    package var isKeyBoundToLeaf: Bool { Sealer.hasPartner(sealedKey) }

    /// Opens the private key, in DER, if row, leaf and key belong together. This takes some microseconds. If the key
    /// was not sealed for its leaf, `comparesUnbound` says whether it is compared with the leaf, which takes a
    /// millisecond.
    ///
    /// - Throws: `IssuanceFailure`, `SealError` or `PKIError` when something was damaged, or moved here from another
    ///   row.
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
