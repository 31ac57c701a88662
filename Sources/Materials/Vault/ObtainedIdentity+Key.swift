import PKI
import State

extension ObtainedIdentity {
    /// Seals the identity's key. The sealed key can be opened only together with this name, chain and CAs. If somebody
    /// puts in the key, the chain or the CAs of another row, or older ones, opening fails.
    package init(
        name: String, declaration: [UInt8], _ identity: Identity, secretVersion: Int64?, sealer: Sealer, now: Int64
    ) throws {
        let chain = Array(identity.chain.certificates.map(\.pem).joined().utf8)
        let authorities = identity.authorities.flatMap { Array(PEM.text("CERTIFICATE", $0).utf8) }
        self.init(
            name: name, declaration: declaration, chain: chain, authorities: authorities,
            sealedKey: try sealer.seal(
                identity.key.der(), purpose: SealPurpose.identityKey, row: name,
                partner: Self.partner(chain, authorities)),
            secretVersion: secretVersion, notBefore: identity.chain.leaf.notBefore, notAfter: identity.notAfter,
            obtainedAt: now)
    }

    /// Opens the private key in DER. Takes some microseconds.
    ///
    /// - Throws: `SealError` if a part is damaged or was copied from another row.
    package func openKey(_ sealer: Sealer) throws(SealError) -> SecretBytes {
        try sealer.open(
            sealedKey, purpose: SealPurpose.identityKey, row: name, partner: Self.partner(chain, authorities))
    }

    /// The private key, sealed with the sealer's present master key.
    package func resealedKey(_ sealer: Sealer) throws(SealError) -> [UInt8] {
        try sealer.seal(
            openKey(sealer), purpose: SealPurpose.identityKey, row: name, partner: Self.partner(chain, authorities))
    }

    /// Makes the identity for handshakes. `now` is in seconds since 1970.
    package func identity(_ sealer: Sealer, now: Int64) throws -> Identity {
        let key = try PrivateKey(der: openKey(sealer))
        return try Identity(
            certificate: chain, key: key, authorities: authorities.isEmpty ? nil : authorities,
            origin: IdentityOrigin(
                certificate: "the stored certificate", key: "the stored key", authorities: "the stored CAs"),
            now: now)
    }

    private static func partner(_ chain: [UInt8], _ authorities: [UInt8]) -> String {
        Digest.sha256Text(Digest.sha256(chain) + Digest.sha256(authorities))
    }
}

extension IdentityRequest {
    /// Makes a request with a new key, which is sealed.
    package init(name: String, declaration: [UInt8], key: PrivateKey, sealer: Sealer, now: Int64) throws {
        self.init(
            name: name, declaration: declaration,
            sealedKey: try sealer.seal(key.der(), purpose: SealPurpose.identityRequestKey, row: name),
            createdAt: now)
    }

    package func openKey(_ sealer: Sealer) throws(SealError) -> SecretBytes {
        try sealer.open(sealedKey, purpose: SealPurpose.identityRequestKey, row: name)
    }
}
