/// What sealed bytes are for: part of what they are bound to.
public enum SealPurpose {
    /// The private key of a certificate; the row is its name.
    public static let certificateKey = "certificate key"
    /// The text of a generation; the row is its number.
    public static let generation = "generation text"
}
