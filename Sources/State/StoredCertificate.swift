/// A stored certificate: its declaration, facts, chain and sealed key.
package struct StoredCertificate: Sendable, Equatable {
    /// The name by which hosts refer to the certificate.
    package var name: String
    package var owner: StoredItem.Owner
    /// The certificate's declaration as compact JSON, with the keys of the file.
    package var record: [UInt8]
    package var facts: CertificateFacts
    /// The leaf and its intermediates in PEM.
    package var chain: [UInt8]
    /// The private key. Its seal is bound to the certificate's name and to the leaf.
    package var sealedKey: [UInt8]
    /// The certificate's identifier at its provider, and its request; nil when the provider gives certificates no
    /// identifiers.
    package var remote: RemoteCertificate?

    package init(
        name: String, owner: StoredItem.Owner, record: [UInt8], facts: CertificateFacts, chain: [UInt8],
        sealedKey: [UInt8], remote: RemoteCertificate? = nil
    ) {
        self.name = name
        self.owner = owner
        self.record = record
        self.facts = facts
        self.chain = chain
        self.sealedKey = sealedKey
        self.remote = remote
    }
}
