import COpenSSL

/// A private key that the gateway can use: RSA with 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, or Ed25519.
@safe
package final class PrivateKey: Sendable {
    let keyKind: KeyKind
    // Sharing the pointer is sound: the key does not change after init, and OpenSSL's functions for reading and signing
    // are thread-safe. Each function here keeps `self` alive while it uses the pointer.
    private nonisolated(unsafe) let key: OpaquePointer

    /// The algorithm and size for messages, such as "ECDSA P-256" or "RSA 2048".
    package var kind: String { keyKind.description }

    /// Takes ownership of an `EVP_PKEY`, and frees it if the initializer throws.
    private init(takingOwnership key: OpaquePointer) throws(PKIError) {
        do throws(PKIError) {
            let kind = unsafe KeyKind(of: key)
            try kind.checkStrength()
            try kind.checkCost()
            if case .rsa = kind { try unsafe Self.checkExponent(key) }
            keyKind = kind
            unsafe self.key = key
        } catch {
            unsafe EVP_PKEY_free(key)
            throw error
        }
    }

    deinit { unsafe EVP_PKEY_free(key) }

    /// Throws unless an RSA key's public exponent is odd, greater than 1 and at most `maximumExponentBits` long;
    /// clients reject other exponents. With the exponent 1, a signature would equal the message. A long exponent makes
    /// each handshake slow, also for the client.
    private static func checkExponent(_ key: OpaquePointer) throws(PKIError) {
        var exponent: OpaquePointer?
        try unsafe OpenSSL.check("reading a key", EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent))
        defer { unsafe BN_free(exponent) }
        guard unsafe BN_is_odd(exponent) == 1, unsafe (2...maximumExponentBits).contains(BN_num_bits(exponent)) else {
            let rule = "its public exponent is not odd, above 1 and of \(maximumExponentBits) bits at most"
            throw .malformed("private key", reason: rule)
        }
    }

    /// The maximum length of a public exponent in bits. For long moduli, OpenSSL does not verify with a longer exponent
    /// (OPENSSL_RSA_MAX_PUBEXP_BITS).
    private static let maximumExponentBits: Int32 = 64

    /// The public key in DER, as a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
    package func publicKeyDER() throws(PKIError) -> [UInt8] {
        defer { extendLifetime(self) }
        return try unsafe OpenSSL.encode("reading a public key") { output in unsafe i2d_PUBKEY(key, output) }
    }

    /// Makes a new key. An RSA key takes between 0.1 s and some seconds.
    package static func generate(_ algorithm: KeyAlgorithm) throws(PKIError) -> PrivateKey {
        try unsafe PrivateKey(takingOwnership: algorithm.generate())
    }

    /// Reads a key in DER of at most 32 KiB: PKCS#8 (RFC 5208), PKCS#1 (RFC 8017) or SEC 1 (RFC 5915).
    ///
    /// The decoder of OpenSSL 3.0 frees its copy of the DER without wiping it, so this initializer uses
    /// `OpenSSLMemory.wiping`.
    package convenience init(der: SecretBytes) throws(PKIError) {
        let limit = 32 << 10
        guard der.count <= limit else { throw .tooLarge("private key", limit: "32 KiB") }
        let key = unsafe OpenSSLMemory.wiping {
            unsafe der.withBytes { bytes in
                unsafe OpenSSL.decode(bytes, free: EVP_PKEY_free) { position, count in
                    // The next function is tried only if the one before returned NULL. A function that returns NULL
                    // does not move `position`.
                    unsafe aegis_pkcs8_p256_key(position, count) ?? aegis_pkcs8_key(position, count)
                        ?? d2i_AutoPrivateKey(nil, position, count)
                }
            }
        }
        // OpenSSL tried all forms and queued an error for each. These errors would not help the operator.
        ERR_clear_error()
        guard let key = unsafe key else {
            throw .malformed("private key", reason: "it is neither PKCS#8, PKCS#1 nor SEC 1")
        }
        try unsafe self.init(takingOwnership: key)
    }

    /// Reads the only private key in a PEM text: PKCS#8, "RSA PRIVATE KEY" or "EC PRIVATE KEY". Other text around it is
    /// ignored. Throws if the key is encrypted, or if its private and public halves don't match.
    package convenience init(pem: SecretBytes) throws(PKIError) {
        let der = try pem.withBytes { text throws(PKIError) in
            let blocks = try PEM.blocks(in: text).filter { $0.label.hasSuffix("PRIVATE KEY") }
            guard let block = blocks.first else {
                throw ForeignForm(of: text, key: true).map { PKIError.foreignForm($0) } ?? PKIError.noPrivateKey
            }
            guard blocks.count == 1 else { throw PKIError.severalPrivateKeys(blocks.count) }
            if block.isEncrypted || block.label == "ENCRYPTED PRIVATE KEY" { throw PKIError.encryptedKey }
            guard ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"].contains(block.label) else {
                throw PKIError.unsupportedKey(block.label)
            }
            return try PEM.content(of: block, in: text)
        }
        try self.init(der: der)
        try checkPair()
    }

    /// The key in DER, as PKCS#8.
    package func der() throws(PKIError) -> SecretBytes {
        try OpenSSLMemory.wiping { () throws(PKIError) in try encoded() }
    }

    private func encoded() throws(PKIError) -> SecretBytes {
        defer { extendLifetime(self) }
        let action = "writing a private key"
        let context = try unsafe OpenSSL.require(action, aegis_pkcs8_encoder(key))
        defer { unsafe OSSL_ENCODER_CTX_free(context) }
        var output: UnsafeMutablePointer<UInt8>?
        var length = 0
        try unsafe OpenSSL.check(action, OSSL_ENCODER_to_data(context, &output, &length))
        guard let start = unsafe output else { throw .openSSL(action, reasons: []) }
        // The encoder allocated `output`. aegis_clear_free wipes and frees it.
        defer { unsafe aegis_clear_free(start, length) }
        return SecretBytes(capacity: length) { bytes in
            for index in 0..<length { unsafe bytes.append(start[index]) }
        }
    }

    /// The key in PEM, as PKCS#8.
    package func pem() throws(PKIError) -> SecretBytes {
        try der().withBytes { der in PEM.secretText("PRIVATE KEY", der) }
    }

    /// Whether the certificate contains this key's public half.
    package func matches(_ certificate: Certificate) -> Bool {
        if let own = try? publicKeyDER(), own == certificate.publicKeyDER { return true }
        defer { extendLifetime(self) }
        // One public key can have several encodings, for example with a compressed point. So if the encodings differ,
        // OpenSSL compares the keys.
        guard
            let other = unsafe OpenSSL.decode(
                certificate.publicKeyDER.span, free: EVP_PKEY_free,
                { position, count in unsafe d2i_PUBKEY(nil, position, count) })
        else { return false }
        defer { unsafe EVP_PKEY_free(other) }
        return unsafe EVP_PKEY_eq(key, other) == 1
    }
}

extension PrivateKey {
    /// Lends the `EVP_PKEY` to `body`. The pointer is valid only until `body` returns.
    func withHandle<Result>(_ body: (OpaquePointer) -> Result) -> Result {
        defer { extendLifetime(self) }
        return unsafe body(key)
    }

    /// Signs an `X509` that is complete except for the signature.
    func sign(certificate: OpaquePointer) throws(PKIError) {
        defer { extendLifetime(self) }
        try unsafe OpenSSL.check("signing a certificate", X509_sign(certificate, key, keyKind.digest))
    }

    /// Sets the public key of an `X509_REQ` to this key's public half, and signs the request.
    func sign(request: OpaquePointer) throws(PKIError) {
        defer { extendLifetime(self) }
        try unsafe OpenSSL.check("making a request", X509_REQ_set_pubkey(request, key))
        try unsafe OpenSSL.check("signing a request", X509_REQ_sign(request, key, keyKind.digest))
    }

    /// Throws if the public half can't verify a signature by the private half. Then the file is damaged, or someone
    /// combined two keys.
    private func checkPair() throws(PKIError) {
        defer { extendLifetime(self) }
        let context = try unsafe OpenSSL.require("checking a key", EVP_MD_CTX_new())
        defer { unsafe EVP_MD_CTX_free(context) }
        let message = Array("aegis".utf8)
        // This is safe, since the buffer is large enough for any signature: a key's DER has at most 32 KiB.
        var signature = [UInt8](repeating: 0, count: 32 << 10)
        var length = signature.count
        ERR_clear_error()
        let isPair =
            unsafe EVP_DigestSignInit(context, nil, keyKind.digest, nil, key) == 1
            && EVP_DigestSign(context, &signature, &length, message, message.count) == 1
            && EVP_MD_CTX_reset(context) == 1
            && EVP_DigestVerifyInit(context, nil, keyKind.digest, nil, key) == 1
            && EVP_DigestVerify(context, signature, length, message, message.count) == 1
        ERR_clear_error()
        guard isPair else { throw .malformed("private key", reason: "its private and public halves don't fit") }
    }
}

extension PrivateKey: CustomStringConvertible, CustomReflectable {
    /// The description shows only the kind of the key, never its bytes.
    package var description: String { "private key (\(kind))" }
    /// The mirror has no children, so a dump of the key shows no bytes.
    package var customMirror: Mirror { Mirror(self, children: []) }
}
