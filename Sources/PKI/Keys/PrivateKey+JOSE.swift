import COpenSSL

/// The algorithms of JSON Web Signature for ACME account keys (RFC 7518 section 3.1). The raw value is the value of the
/// member `alg`.
package enum JWSAlgorithm: String, Sendable {
    /// ECDSA on P-256 with SHA-256.
    case es256 = "ES256"
    /// ECDSA on P-384 with SHA-384.
    case es384 = "ES384"
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    case rs256 = "RS256"
}

/// A public key as a JSON Web Key (RFC 7517). Numbers are in big-endian bytes.
package enum JSONWebKey: Sendable, Hashable {
    /// A point on a curve. Each coordinate is as long as the curve's field.
    case ec(curve: String, x: [UInt8], y: [UInt8])
    /// The modulus `n` and the exponent `e`, without leading zeros.
    case rsa(n: [UInt8], e: [UInt8])

    /// The members that RFC 7638 section 3.2 requires. JWS needs no others.
    package var members: [String: String] {
        switch self {
        case .ec(let curve, let x, let y):
            ["crv": curve, "kty": "EC", "x": Base64URL.text(x), "y": Base64URL.text(y)]
        case .rsa(let n, let e): ["e": Base64URL.text(e), "kty": "RSA", "n": Base64URL.text(n)]
        }
    }

    /// The members in JSON, sorted by name, as RFC 7638 requires for the thumbprint. The values never need an escape.
    package var json: String {
        "{" + members.sorted { $0.key < $1.key }.map { #""\#($0.key)":"\#($0.value)""# }.joined(separator: ",") + "}"
    }

    /// The SHA-256 thumbprint in base64url (RFC 7638).
    package var thumbprint: String { Base64URL.text(Digest.sha256(Array(json.utf8))) }
}

extension PrivateKey {
    /// The algorithm for signatures with this key. Throws for P-521 and Ed25519, which not every CA accepts for
    /// accounts.
    package var jwsAlgorithm: JWSAlgorithm {
        get throws(PKIError) {
            switch keyKind {
            case .ecdsa("prime256v1", _): .es256
            case .ecdsa("secp384r1", _): .es384
            case .rsa: .rs256
            default: throw .unsupportedKey(kind)
            }
        }
    }

    package var jsonWebKey: JSONWebKey {
        get throws(PKIError) {
            switch try jwsAlgorithm {
            case .es256: try .ec(curve: "P-256", x: number("qx", width: 32), y: number("qy", width: 32))
            case .es384: try .ec(curve: "P-384", x: number("qx", width: 48), y: number("qy", width: 48))
            case .rs256: try .rsa(n: number("n"), e: number("e"))
            }
        }
    }

    /// Signs a message for JWS. An ECDSA signature is its two numbers in sequence, each as long as the curve's field
    /// (RFC 7518 section 3.4). An RSA signature is used unchanged (section 3.3).
    package func signature(of message: [UInt8]) throws(PKIError) -> [UInt8] {
        let algorithm = try jwsAlgorithm
        let signature = try rawSignature(of: message)
        return switch algorithm {
        case .es256: try Self.joined(signature, width: 32)
        case .es384: try Self.joined(signature, width: 48)
        case .rs256: signature
        }
    }

    private func rawSignature(of message: [UInt8]) throws(PKIError) -> [UInt8] {
        let action = "signing a message"
        let context = try unsafe OpenSSL.require(action, EVP_MD_CTX_new())
        defer { unsafe EVP_MD_CTX_free(context) }
        try unsafe OpenSSL.check(
            action, withHandle { key in unsafe EVP_DigestSignInit(context, nil, keyKind.digest, nil, key) })
        var length = 0
        // Without an output buffer, EVP_DigestSign only sets `length` to the maximum size of the signature.
        try unsafe OpenSSL.check(action, EVP_DigestSign(context, nil, &length, message, message.count))
        var signature = [UInt8](repeating: 0, count: length)
        try unsafe OpenSSL.check(action, EVP_DigestSign(context, &signature, &length, message, message.count))
        return Array(signature.prefix(length))
    }

    /// Converts an ECDSA signature from DER (RFC 3279 section 2.2.3) to two numbers of `width` bytes each.
    private static func joined(_ der: [UInt8], width: Int) throws(PKIError) -> [UInt8] {
        let decoded = unsafe OpenSSL.decode(der.span, free: ECDSA_SIG_free) { position, count in
            unsafe d2i_ECDSA_SIG(nil, position, count)
        }
        guard let pair = unsafe decoded else { throw .openSSL("reading a signature", reasons: OpenSSL.drainReasons()) }
        defer { unsafe ECDSA_SIG_free(pair) }
        return try unsafe bytes(of: ECDSA_SIG_get0_r(pair), width: width)
            + bytes(of: ECDSA_SIG_get0_s(pair), width: width)
    }

    /// Reads a number of the public key, such as "n", which is OpenSSL's name for an RSA modulus. The result has
    /// `width` bytes. If `width` is nil, it has no leading zeros.
    private func number(_ name: String, width: Int? = nil) throws(PKIError) -> [UInt8] {
        var number: OpaquePointer?
        try unsafe OpenSSL.check(
            "reading a public key", withHandle { key in unsafe EVP_PKEY_get_bn_param(key, name, &number) })
        // EVP_PKEY_get_bn_param allocated the number, and the caller must free it.
        defer { unsafe BN_free(number) }
        return try unsafe Self.bytes(of: number, width: width)
    }

    private static func bytes(of number: OpaquePointer?, width: Int?) throws(PKIError) -> [UInt8] {
        let width = unsafe width ?? (Int(BN_num_bits(number)) + 7) / 8
        var bytes = [UInt8](repeating: 0, count: width)
        // This is safe, since BN_bn2binpad writes exactly `width` bytes, or fails.
        try unsafe OpenSSL.check("writing a number", BN_bn2binpad(number, &bytes, Int32(width)))
        return bytes
    }
}
