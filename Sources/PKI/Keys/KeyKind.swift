import COpenSSL

/// The algorithm and size of a public or private key.
enum KeyKind: Sendable, Hashable {
    case rsa(bits: Int)
    /// An elliptic curve by OpenSSL's name, and the size of its field.
    case ecdsa(curve: String, bits: Int)
    /// A key on a curve that is given by its parameters instead of its name, which RFC 5480 forbids (section 2.1.1).
    /// Browsers, Go and Python refuse such certificates.
    case explicitECDSA(curve: String)
    case ed25519
    /// Any other kind, by OpenSSL's name. Aegis uses no certificate with such a key.
    case other(String)

    /// The kind of an `EVP_PKEY`.
    init(of key: OpaquePointer) {
        // The caller keeps the key alive during this call.
        let bits = unsafe Int(EVP_PKEY_get_bits(key))
        if unsafe EVP_PKEY_is_a(key, "RSA") == 1 {
            self = .rsa(bits: bits)
        } else if unsafe EVP_PKEY_is_a(key, "EC") == 1 {
            let curve = unsafe Self.curve(of: key)
            // A curve that has no name at all can't be given by name, so it doesn't count as explicit.
            let isExplicit = unsafe Self.curves.keys.contains(curve) && Self.isExplicit(key)
            self = isExplicit ? .explicitECDSA(curve: curve) : .ecdsa(curve: curve, bits: bits)
        } else if unsafe EVP_PKEY_is_a(key, "ED25519") == 1 {
            self = .ed25519
        } else {
            self = unsafe .other(EVP_PKEY_get0_type_name(key).map { unsafe String(cString: $0) } ?? "unknown")
        }
    }

    private static func isExplicit(_ key: OpaquePointer) -> Bool {
        var value: Int32 = 0
        let isKnown = unsafe EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &value)
        return isKnown == 1 && value != 0
    }

    private static func curve(of key: OpaquePointer) -> String {
        var name = [CChar](repeating: 0, count: 64)
        var length = 0
        // The call writes at most the given size, the final NUL included. It fails for curves without a name.
        guard unsafe EVP_PKEY_get_group_name(key, &name, name.count, &length) == 1 else { return "unnamed curve" }
        return String(decoding: name.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Throws for keys below RSA 2048 or EC 256, and for kinds that TLS can't sign with.
    func checkStrength() throws(PKIError) {
        switch self {
        case .rsa(let bits):
            guard bits >= 2048 else { throw .weakKey(description) }
        case .ecdsa(let curve, let bits):
            guard bits >= 256 else { throw .weakKey(description) }
            guard Self.curves.keys.contains(curve) else { throw .unsupportedKey(description) }
        case .explicitECDSA: throw .explicitCurve(certificate: nil)
        case .ed25519: break
        case .other: throw .unsupportedKey(description)
        }
    }

    /// The largest RSA key that is served, in bits. A signature takes about 30 ms, during which a worker does nothing
    /// else; with 16384 bits it would take eight times as long.
    static let maximumRSABits = 8192

    /// Throws for keys whose signatures are so slow that handshakes would hold up all other clients. Keys that only
    /// verify, such as a peer's, need no check: verifying is hundreds of times faster.
    func checkCost() throws(PKIError) {
        if case .rsa(let bits) = self, bits > Self.maximumRSABits { throw .slowKey(description) }
    }

    /// The hash for signatures of this key, as an `EVP_MD`; nil where the algorithm includes its own hash.
    var digest: OpaquePointer? {
        switch self {
        case .ed25519: nil
        case .ecdsa(_, bits: 384): unsafe EVP_sha384()
        case .ecdsa(_, bits: 521...): unsafe EVP_sha512()
        case .rsa, .ecdsa, .explicitECDSA, .other: unsafe EVP_sha256()
        }
    }

    private static let curves = ["prime256v1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"]
}

extension KeyKind: CustomStringConvertible {
    /// The kind for messages, such as "ECDSA P-256" or "RSA 2048".
    var description: String {
        switch self {
        case .rsa(let bits): "RSA \(bits)"
        case .ecdsa(let curve, _), .explicitECDSA(let curve): "ECDSA \(Self.curves[curve] ?? curve)"
        case .ed25519: "Ed25519"
        case .other(let name): name
        }
    }
}
