/// A digest that tells contents apart.
package enum Digest {
    /// SHA-256 (FIPS 180-4) of some bytes: 32 bytes.
    package static func sha256(_ bytes: [UInt8]) -> [UInt8] { OpenSSL.sha256(bytes.span) }

    /// SHA-256 of a secret: 32 bytes.
    package static func sha256(_ secret: SecretBytes) -> [UInt8] { secret.withBytes(OpenSSL.sha256) }

    /// SHA-256 of some bytes in lower-case hex.
    package static func sha256Text(_ bytes: [UInt8]) -> String { Hex.text(sha256(bytes)) }
}
