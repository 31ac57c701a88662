/// The identities that gateways obtain from Vaults. All gateways of a state share them, and continue to use them while
/// a Vault can't be reached.
///
/// Writes do not raise the revision, since no item changes; readers notice writes by `dataVersion`. A process that
/// writes must hold the identity's lease (`Lease.Name.identity`). A write throws `StateError.changedMeanwhile` if the
/// identity is no longer declared with the source `vault`. An apply that removes the identity or changes its source
/// also deletes the stored identity and its request.
package protocol IdentityJournal: AnyObject, Sendable {
    /// The stored identity with this name; nil if none was obtained yet.
    func obtainedIdentity(_ name: String) throws(StateError) -> ObtainedIdentity?

    /// All stored identities, sorted by name.
    func obtainedIdentities() throws(StateError) -> [ObtainedIdentity]

    /// Stores an identity, replaces a former one with the same name, and deletes the identity's request.
    func putObtainedIdentity(_ identity: ObtainedIdentity, by holder: LeaseHolder) throws(StateError)

    /// The unfinished request for an identity; nil when there is none.
    func identityRequest(for name: String) throws(StateError) -> IdentityRequest?

    /// All unfinished requests, sorted by name.
    func identityRequests() throws(StateError) -> [IdentityRequest]

    /// Stores a request, and replaces a former request for the same identity. Called before the request is sent.
    func putIdentityRequest(_ request: IdentityRequest, by holder: LeaseHolder) throws(StateError)
}

/// An identity that a gateway obtained from a Vault.
package struct ObtainedIdentity: Sendable, Equatable {
    /// The identity's name in the file.
    package let name: String
    /// Identifies the declaration for which the identity was obtained: the SHA-256 of the Vault's address and of all
    /// settings on which the identity depends.
    package let declaration: [UInt8]
    /// The certificate and the CA certificates to send with it, in PEM, the certificate first.
    package let chain: [UInt8]
    /// The CAs that peers' certificates must come from, in PEM. Empty if there are none.
    package let authorities: [UInt8]
    /// The private key, sealed for the identity's name, its chain and its CAs.
    package let sealedKey: [UInt8]
    /// The version of the secret that the identity was read from. Nil if it was issued, or if there are no versions.
    package let secretVersion: Int64?
    /// The validity of the certificate, in seconds since 1970.
    package let notBefore: Int64
    package let notAfter: Int64
    /// When the identity was obtained, in seconds since 1970.
    package let obtainedAt: Int64

    package init(
        name: String, declaration: [UInt8], chain: [UInt8], authorities: [UInt8], sealedKey: [UInt8],
        secretVersion: Int64? = nil, notBefore: Int64, notAfter: Int64, obtainedAt: Int64
    ) {
        (self.name, self.declaration, self.chain, self.authorities) = (name, declaration, chain, authorities)
        (self.sealedKey, self.secretVersion, self.obtainedAt) = (sealedKey, secretVersion, obtainedAt)
        (self.notBefore, self.notAfter) = (notBefore, notAfter)
    }
}

/// A request for a certificate from a Vault. It is stored before it is sent, and deleted when the certificate is
/// stored. After a crash or a lost answer, a process sends the same request again.
package struct IdentityRequest: Sendable, Equatable {
    /// The identity's name in the file.
    package let name: String
    /// Identifies the declaration, as in `ObtainedIdentity`.
    package let declaration: [UInt8]
    /// The new private key, sealed for the identity's name.
    package let sealedKey: [UInt8]
    /// When the request was made, in seconds since 1970.
    package let createdAt: Int64

    package init(name: String, declaration: [UInt8], sealedKey: [UInt8], createdAt: Int64) {
        (self.name, self.declaration, self.sealedKey) = (name, declaration, sealedKey)
        self.createdAt = createdAt
    }
}
