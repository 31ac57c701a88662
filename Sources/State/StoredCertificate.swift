/// A certificate as it is kept: its declaration, its facts, its chain, and its key sealed.
package struct StoredCertificate: Sendable, Equatable {
    /// The name that hosts refer to it by.
    package var name: String
    /// Who put it there.
    package var owner: StoredItem.Owner
    /// The compact record in JSON, in the language of the file.
    package var record: [UInt8]
    /// What is known of it.
    package var facts: CertificateFacts
    /// The leaf and its intermediates in PEM.
    package var chain: [UInt8]
    /// The private key, sealed for the row of this name.
    package var sealedKey: [UInt8]
    /// How its provider knows it, where it has one that does.
    package var remote: RemoteCertificate?

    /// A certificate.
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
