package enum Digest {
    /// The 32 bytes of the SHA-256 digest (FIPS 180-4).
    package static func sha256(_ bytes: [UInt8]) -> [UInt8] { OpenSSL.sha256(bytes.span) }

    /// The 32 bytes of the SHA-256 digest of a secret.
    package static func sha256(_ secret: SecretBytes) -> [UInt8] { secret.withBytes(OpenSSL.sha256) }

    /// The 20 bytes of the SHA-1 digest (FIPS 180-4). SHA-1 is not safe for signatures; the handshake of WebSocket uses it.
    package static func sha1(_ bytes: [UInt8]) -> [UInt8] { OpenSSL.sha1(bytes.span) }

    /// The SHA-256 digest in lower-case hex.
    package static func sha256Text(_ bytes: [UInt8]) -> String { Hex.text(sha256(bytes)) }
}
