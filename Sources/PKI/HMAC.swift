import COpenSSL

/// Message authentication codes (RFC 2104).
public enum HMAC {
    /// HMAC-SHA-256 of a message: 32 bytes. The key has at least one byte.
    public static func sha256(key: SecretBytes, message: [UInt8]) throws(PKIError) -> [UInt8] {
        var code = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_LENGTH))
        var length = 0
        try key.withBytes { key throws(PKIError) in
            try unsafe key.withUnsafeBufferPointer { key throws(PKIError) in
                // Reads key and message, and writes at most the given size.
                _ = try unsafe OpenSSL.require(
                    "authenticating a message",
                    EVP_Q_mac(
                        nil, "HMAC", nil, "SHA256", nil, key.baseAddress, key.count, message, message.count, &code,
                        code.count, &length))
            }
        }
        return code
    }
}
