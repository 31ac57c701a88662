import COpenSSL

/// Message authentication codes (RFC 2104).
package enum HMAC {
    package enum Hash: String, Sendable {
        /// SHA-256: codes of 32 bytes.
        case sha256 = "SHA256"
        /// SHA-384: codes of 48 bytes.
        case sha384 = "SHA384"
        /// SHA-512: codes of 64 bytes.
        case sha512 = "SHA512"
    }

    /// HMAC-SHA-256 of a message: 32 bytes. The key has at least one byte.
    package static func sha256(key: SecretBytes, message: [UInt8]) throws(PKIError) -> [UInt8] {
        try code(.sha256, key: key, message: message)
    }

    /// The code of a message, as long as the hash. The key has at least one byte.
    package static func code(_ hash: Hash, key: SecretBytes, message: [UInt8]) throws(PKIError) -> [UInt8] {
        var code = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var length = 0
        try key.withBytes { key throws(PKIError) in
            try unsafe key.withUnsafeBufferPointer { key throws(PKIError) in
                // EVP_Q_mac reads key and message, and writes at most `code.count` bytes.
                _ = try unsafe OpenSSL.require(
                    "authenticating a message",
                    EVP_Q_mac(
                        nil, "HMAC", nil, hash.rawValue, nil, key.baseAddress, key.count, message, message.count, &code,
                        code.count, &length))
            }
        }
        return Array(code.prefix(length))
    }
}
