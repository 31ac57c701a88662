/// SHA-256 digests (FIPS 180-4), to compare contents.
package enum Digest {
    /// The SHA-256 of some bytes: 32 bytes.
    package static func sha256(_ bytes: [UInt8]) -> [UInt8] { OpenSSL.sha256(bytes.span) }

    /// The SHA-256 of a secret: 32 bytes.
    package static func sha256(_ secret: SecretBytes) -> [UInt8] { secret.withBytes(OpenSSL.sha256) }

    /// The SHA-256 of some bytes in lower-case hex.
    package static func sha256Text(_ bytes: [UInt8]) -> String { Hex.text(sha256(bytes)) }
}
