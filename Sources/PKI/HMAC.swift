import COpenSSL

package enum HMAC {
    package enum Hash: String, Sendable {
        /// SHA-256, for codes of 32 bytes.
        case sha256 = "SHA256"
        /// SHA-384, for codes of 48 bytes.
        case sha384 = "SHA384"
        /// SHA-512, for codes of 64 bytes.
        case sha512 = "SHA512"
    }

    /// Returns the HMAC-SHA-256 of a message, 32 bytes (RFC 2104). The key must not be empty.
    package static func sha256(key: SecretBytes, message: [UInt8]) throws(PKIError) -> [UInt8] {
        try code(.sha256, key: key, message: message)
    }

    /// Returns the HMAC of a message, which is as long as the hash (RFC 2104). The key must not be empty.
    package static func code(_ hash: Hash, key: SecretBytes, message: [UInt8]) throws(PKIError) -> [UInt8] {
        var code = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var length = 0
        try key.withBytes { key throws(PKIError) in
            try unsafe key.withUnsafeBufferPointer { key throws(PKIError) in
                // This is safe, since EVP_Q_mac reads only the given key and message, and writes at most `code.count`
                // bytes.
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
