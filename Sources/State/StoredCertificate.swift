/// A certificate as it is kept: its declaration, its facts, its chain, and its key sealed.
public struct StoredCertificate: Sendable, Equatable {
    /// The name that hosts refer to it by.
    public var name: String
    /// Who put it there.
    public var owner: StoredItem.Owner
    /// The compact record in JSON, in the language of the file.
    public var record: [UInt8]
    /// What is known of it.
    public var facts: CertificateFacts
    /// The leaf and its intermediates in PEM.
    public var chain: [UInt8]
    /// The private key, sealed for the row of this name.
    public var sealedKey: [UInt8]
    /// How its provider knows it, where it has one that does.
    public var remote: RemoteCertificate?

    /// A certificate.
    public init(
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
