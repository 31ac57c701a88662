/// The identities that gateways obtain from Vaults. All gateways of a state share them, and serve on with them while a
/// Vault can't be reached.
///
/// Writes do not raise the revision, since the items stay as they are; readers notice them by `dataVersion`. A process
/// that writes must hold the lease of the identity (`Lease.Name.identity`). A write for an identity that is no longer
/// declared with the source `vault` throws `StateError.changedMeanwhile`; an apply that takes an identity out, or gives it
/// another source, deletes what is stored for it.
package protocol IdentityJournal: AnyObject, Sendable {
    /// Nil when none was obtained yet.
    func obtainedIdentity(_ name: String) throws(StateError) -> ObtainedIdentity?

    /// All of them, sorted by name.
    func obtainedIdentities() throws(StateError) -> [ObtainedIdentity]

    /// Stores an identity in place of the former one of its name, and deletes the identity's request.
    func putObtainedIdentity(_ identity: ObtainedIdentity, by holder: LeaseHolder) throws(StateError)

    /// The request that was begun for an identity; nil when there is none.
    func identityRequest(for name: String) throws(StateError) -> IdentityRequest?

    /// All requests that were begun, sorted by name.
    func identityRequests() throws(StateError) -> [IdentityRequest]

    /// Stores a request before it is sent, in place of the former one.
    func putIdentityRequest(_ request: IdentityRequest, by holder: LeaseHolder) throws(StateError)
}

/// An identity that a gateway obtained from a Vault.
package struct ObtainedIdentity: Sendable, Equatable {
    /// The identity's name in the file.
    package let name: String
    /// Identifies what was asked for: the SHA-256 of the Vault's address and of the settings that the content depends on.
    package let declaration: [UInt8]
    /// The certificate and the ones above it that are shown, in PEM, the certificate first.
    package let chain: [UInt8]
    /// The CAs of peers in PEM. Empty if there are none.
    package let authorities: [UInt8]
    /// The private key, sealed for the identity's name, its chain and its CAs.
    package let sealedKey: [UInt8]
    /// The version of the secret that the identity was read from. Nil if it was issued, or if there are no versions.
    package let secretVersion: Int64?
    /// The validity of the certificate, in seconds since 1970.
    package let notBefore: Int64
    package let notAfter: Int64
    /// In seconds since 1970.
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

/// A certificate that a Vault is asked for, from before the request is sent until the certificate is stored. A process
/// that takes over, after a crash or a lost answer, sends the same request again.
package struct IdentityRequest: Sendable, Equatable {
    /// The identity's name in the file.
    package let name: String
    /// As in `ObtainedIdentity`.
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
