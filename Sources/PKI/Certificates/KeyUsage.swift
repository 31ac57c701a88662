/// What a certificate's key may be used for (RFC 5280, section 4.2.1.3). The raw value is the first byte of the
/// extension's bit string, which is also how OpenSSL numbers them.
public struct KeyUsage: OptionSet, Sendable, Hashable {
    /// The bits, the first of RFC 5280 the highest of 8.
    public let rawValue: UInt32

    /// A set of these bits.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Signatures in TLS handshakes.
    public static let digitalSignature = KeyUsage(rawValue: 0x80)
    /// RSA key exchange of TLS 1.2.
    public static let keyEncipherment = KeyUsage(rawValue: 0x20)
    /// Signatures of certificates.
    public static let keyCertSign = KeyUsage(rawValue: 0x04)
    /// Signatures of revocation lists.
    public static let cRLSign = KeyUsage(rawValue: 0x02)
}
