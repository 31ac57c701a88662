/// What sealed bytes are for: part of what they are bound to.
public enum SealPurpose {
    /// The private key of a certificate; the row is its name, the partner its leaf's fingerprint.
    public static let certificateKey = "certificate key"
    /// The private key of a certificate that is being ordered; the row is the certificate's name.
    public static let orderKey = "order key"
    /// The key of an account at a CA; the row is `CAAccount.ID.row`.
    public static let accountKey = "account key"
    /// A secret of an issuer that stands in the file; the row is its fingerprint.
    public static let issuerSecret = "issuer secret"
    /// The text of a generation; the row is its number.
    public static let generation = "generation text"
}
