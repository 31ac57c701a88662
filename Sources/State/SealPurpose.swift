/// The purposes of sealed values. A seal is bound to its purpose and its row.
package enum SealPurpose {
    /// The private key of a certificate. The row is the certificate's name. The seal is also bound to the leaf's
    /// fingerprint.
    package static let certificateKey = "certificate key"
    /// The private key of a pending order. The row is the certificate's name.
    package static let orderKey = "order key"
    /// The private key of an identity from a Vault. The row is the identity's name. The seal is also bound to the
    /// digest of the chain and the CAs.
    package static let identityKey = "identity key"
    /// The private key of a request for an identity. The row is the identity's name.
    package static let identityRequestKey = "identity request key"
    /// The key of an account at a CA. The row is `CAAccount.ID.row`.
    package static let accountKey = "account key"
    /// A secret that the file itself contains. The row is the secret's fingerprint.
    package static let issuerSecret = "issuer secret"
    /// The configuration file's text in a generation. The row is the generation's number.
    package static let generation = "generation text"
}
