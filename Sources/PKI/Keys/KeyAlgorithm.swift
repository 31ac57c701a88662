import COpenSSL

/// The private keys that Aegis can make. The raw value is the word in aegis.yaml.
package enum KeyAlgorithm: String, Sendable, CaseIterable {
    /// The default if aegis.yaml names no key type.
    case ecdsaP256 = "ecdsa-p256"
    case ecdsaP384 = "ecdsa-p384"
    case rsa2048 = "rsa-2048"
    case rsa3072 = "rsa-3072"
    case rsa4096 = "rsa-4096"

    /// Makes an `EVP_PKEY`. The caller must free it.
    func generate() throws(PKIError) -> OpaquePointer {
        let action = "making a key (\(rawValue))"
        return switch self {
        case .ecdsaP256: try unsafe OpenSSL.require(action, aegis_generate_ec("P-256"))
        case .ecdsaP384: try unsafe OpenSSL.require(action, aegis_generate_ec("P-384"))
        case .rsa2048: try unsafe OpenSSL.require(action, aegis_generate_rsa(2048))
        case .rsa3072: try unsafe OpenSSL.require(action, aegis_generate_rsa(3072))
        case .rsa4096: try unsafe OpenSSL.require(action, aegis_generate_rsa(4096))
        }
    }
}
