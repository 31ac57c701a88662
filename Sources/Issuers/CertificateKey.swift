import PKI
import State

extension Sealer {
    /// Seals the key of a certificate for the row of its name and for its leaf, whose key it must be.
    package func sealKey(_ der: SecretBytes, ofCertificate name: String, fingerprint: String) throws(SealError)
        -> [UInt8]
    {
        try seal(der, purpose: SealPurpose.certificateKey, row: name, partner: fingerprint)
    }

    /// Opens the key of a certificate in its row, beside its leaf.
    package func openKey(_ sealed: [UInt8], ofCertificate name: String, fingerprint: String) throws(SealError)
        -> SecretBytes
    {
        try open(sealed, purpose: SealPurpose.certificateKey, row: name, partner: fingerprint)
    }
}

extension StoredCertificate {
    /// Whether the seal itself says that the key is the leaf's. Earlier versions sealed keys for their row alone.
    package var isKeyBoundToLeaf: Bool { Sealer.hasPartner(sealedKey) }

    /// The private key in DER, when row, leaf and key belong together. It takes some microseconds, and a millisecond where
    /// the key is not bound to the leaf: `comparesUnbound` says whether it is compared with it then.
    ///
    /// - Throws: `IssuanceFailure`, `SealError` or `PKIError` when something was damaged, or moved here from elsewhere.
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
