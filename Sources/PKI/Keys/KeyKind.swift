import COpenSSL

/// The algorithm and size of a public or private key.
enum KeyKind: Sendable, Hashable {
    case rsa(bits: Int)
    /// An elliptic curve. `curve` is OpenSSL's name for it, and `bits` is the size of its field.
    case ecdsa(curve: String, bits: Int)
    /// A curve that the key defines by its parameters instead of its name. RFC 5480 section 2.1.1 forbids this, and
    /// browsers, Go and Python reject such certificates.
    case explicitECDSA(curve: String)
    case ed25519
    /// Another algorithm, by OpenSSL's name. Aegis does not use such keys.
    case other(String)

    /// Reads the algorithm and size of an `EVP_PKEY`.
    init(of key: OpaquePointer) {
        // This is safe, since the caller keeps the key alive.
        let bits = unsafe Int(EVP_PKEY_get_bits(key))
        if unsafe EVP_PKEY_is_a(key, "RSA") == 1 {
            self = .rsa(bits: bits)
        } else if unsafe EVP_PKEY_is_a(key, "EC") == 1 {
            let curve = unsafe Self.curve(of: key)
            // A key on a curve without a name must give the parameters, so it does not count as explicit.
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
        // This is safe, since the call writes at most `name.count` bytes, including a NUL. It fails if the curve has no
        // name.
        guard unsafe EVP_PKEY_get_group_name(key, &name, name.count, &length) == 1 else { return "unnamed curve" }
        return String(decoding: name.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Throws if the key is weaker than RSA 2048 or EC 256, or if TLS can't sign with it.
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

    /// The largest RSA key that the gateway uses, in bits. A signature takes about 30 ms, and the worker serves no
    /// other client during that time. A key of 16384 bits would take eight times as long.
    static let maximumRSABits = 8192

    /// Throws if signing with the key is so slow that each handshake would delay all other clients. Peers' keys need no
    /// such check, since verifying is hundreds of times faster than signing.
    func checkCost() throws(PKIError) {
        if case .rsa(let bits) = self, bits > Self.maximumRSABits { throw .slowKey(description) }
    }

    /// The hash for signatures with this key, as an `EVP_MD`. Nil for Ed25519, which includes its own hash.
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
    /// The algorithm and size for messages, such as "ECDSA P-256" or "RSA 2048".
    var description: String {
        switch self {
        case .rsa(let bits): "RSA \(bits)"
        case .ecdsa(let curve, _), .explicitECDSA(let curve): "ECDSA \(Self.curves[curve] ?? curve)"
        case .ed25519: "Ed25519"
        case .other(let name): name
        }
    }
}
