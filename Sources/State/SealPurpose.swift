/// What sealed bytes are for: part of what they are bound to.
package enum SealPurpose {
    /// The private key of a certificate; the row is its name, the partner its leaf's fingerprint.
    package static let certificateKey = "certificate key"
    /// The private key of a certificate that is being ordered; the row is the certificate's name.
    package static let orderKey = "order key"
    /// The key of an account at a CA; the row is `CAAccount.ID.row`.
    package static let accountKey = "account key"
    /// A secret of an issuer that stands in the file; the row is its fingerprint.
    package static let issuerSecret = "issuer secret"
    /// The text of a generation; the row is its number.
    package static let generation = "generation text"
}
