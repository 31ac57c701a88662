/// The allowed uses of a certificate's key (RFC 5280 section 4.2.1.3).
package struct KeyUsage: OptionSet, Sendable, Hashable {
    /// The first byte of the extension's bit string, in which bit 0 of RFC 5280 is the highest bit. OpenSSL's constants
    /// (KU_…) have the same values.
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The key may sign TLS handshakes.
    package static let digitalSignature = KeyUsage(rawValue: 0x80)
    /// The key may be used for the RSA key exchange of TLS 1.2.
    package static let keyEncipherment = KeyUsage(rawValue: 0x20)
    /// The key may sign certificates.
    package static let keyCertSign = KeyUsage(rawValue: 0x04)
    /// The key may sign revocation lists (CRLs).
    package static let cRLSign = KeyUsage(rawValue: 0x02)
}
