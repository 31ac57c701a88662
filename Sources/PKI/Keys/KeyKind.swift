import COpenSSL

/// What a public or private key is.
enum KeyKind: Sendable, Hashable {
    case rsa(bits: Int)
    /// OpenSSL's name of the curve, and the size of its field.
    case ecdsa(curve: String, bits: Int)
    /// One on such a curve whose numbers stand in place of its name, which RFC 5480 forbids (section 2.1.1): browsers, Go and
    /// Python take no such certificate.
    case explicitECDSA(curve: String)
    case ed25519
    /// Anything that no certificate of ours can have, by OpenSSL's name.
    case other(String)

    /// The kind of an `EVP_PKEY`.
    init(of key: OpaquePointer) {
        // The key is the caller's and outlives this call.
        let bits = unsafe Int(EVP_PKEY_get_bits(key))
        if unsafe EVP_PKEY_is_a(key, "RSA") == 1 {
            self = .rsa(bits: bits)
        } else if unsafe EVP_PKEY_is_a(key, "EC") == 1 {
            let curve = unsafe Self.curve(of: key)
            // A curve without a name is none that can be named.
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
        // Writes at most the given size, a final NUL with it; fails for curves without a name.
        guard unsafe EVP_PKEY_get_group_name(key, &name, name.count, &length) == 1 else { return "unnamed curve" }
        return String(decoding: name.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// At least RSA 2048 or EC 256, and one that TLS has signatures for.
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

    /// The largest RSA key that is served, in bits: a signature takes some 30 ms, in which a worker does nothing else. One of
    /// 16384 bits takes eight times as long.
    static let maximumRSABits = 8192

    /// Refuses keys whose signatures take so long that handshakes hold up everybody else. It does not concern keys of others,
    /// which only verify: that is hundreds of times faster.
    func checkCost() throws(PKIError) {
        if case .rsa(let bits) = self, bits > Self.maximumRSABits { throw .slowKey(description) }
    }

    /// The hash that goes with signatures of this key, as an `EVP_MD`; nil where the algorithm has its own.
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
    /// Such as "ECDSA P-256" or "RSA 2048".
    var description: String {
        switch self {
        case .rsa(let bits): "RSA \(bits)"
        case .ecdsa(let curve, _), .explicitECDSA(let curve): "ECDSA \(Self.curves[curve] ?? curve)"
        case .ed25519: "Ed25519"
        case .other(let name): name
        }
    }
}
