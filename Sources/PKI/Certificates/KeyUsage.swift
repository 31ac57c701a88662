/// The operations that a certificate's key may be used for (RFC 5280, section 4.2.1.3). The raw value is the first byte
/// of the extension's bit string, which is also how OpenSSL numbers the operations.
package struct KeyUsage: OptionSet, Sendable, Hashable {
    /// The bits; the first one of RFC 5280 is the highest of eight.
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Signatures in TLS handshakes.
    package static let digitalSignature = KeyUsage(rawValue: 0x80)
    /// RSA key exchange of TLS 1.2.
    package static let keyEncipherment = KeyUsage(rawValue: 0x20)
    /// Signatures of certificates.
    package static let keyCertSign = KeyUsage(rawValue: 0x04)
    /// Signatures of revocation lists.
    package static let cRLSign = KeyUsage(rawValue: 0x02)
}
