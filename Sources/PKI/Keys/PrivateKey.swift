import COpenSSL

/// A private key that can be served with: RSA from 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, or Ed25519.
@safe
package final class PrivateKey: Sendable {
    let keyKind: KeyKind
    // Sound to share: never changed after init, and OpenSSL's reading and signing operations are thread-safe. Who uses it
    // extends self's lifetime to the end of the use.
    private nonisolated(unsafe) let key: OpaquePointer

    /// Such as "ECDSA P-256" or "RSA 2048".
    package var kind: String { keyKind.description }

    /// Takes over an `EVP_PKEY`, also when it is refused.
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

    /// Refuses RSA keys whose public exponent is not what every client takes: odd, above 1, and short. With 1 a signature would
    /// be the message itself; a long one makes each handshake slow, for the client too.
    private static func checkExponent(_ key: OpaquePointer) throws(PKIError) {
        var exponent: OpaquePointer?
        try unsafe OpenSSL.check("reading a key", EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent))
        defer { unsafe BN_free(exponent) }
        guard unsafe BN_is_odd(exponent) == 1, unsafe (2...maximumExponentBits).contains(BN_num_bits(exponent)) else {
            let rule = "its public exponent is not odd, above 1 and of \(maximumExponentBits) bits at most"
            throw .malformed("private key", reason: rule)
        }
    }

    /// OpenSSL verifies nothing with longer ones where the modulus is long (OPENSSL_RSA_MAX_PUBEXP_BITS).
    private static let maximumExponentBits: Int32 = 64

    /// Its public half as SubjectPublicKeyInfo in DER (RFC 5280, section 4.1.2.7).
    package func publicKeyDER() throws(PKIError) -> [UInt8] {
        defer { extendLifetime(self) }
        return try unsafe OpenSSL.encode("reading a public key") { output in unsafe i2d_PUBKEY(key, output) }
    }

    /// A new key. RSA takes from a tenth of a second to some seconds.
    package static func generate(_ algorithm: KeyAlgorithm) throws(PKIError) -> PrivateKey {
        try unsafe PrivateKey(takingOwnership: algorithm.generate())
    }

    /// Reads a key in DER: PKCS#8 (RFC 5208), PKCS#1 (RFC 8017) or SEC 1 (RFC 5915), at most 32 KiB.
    ///
    /// OpenSSL 3.0's decoder frees its own copy of the DER without wiping it: see `OpenSSLMemory`.
    package convenience init(der: SecretBytes) throws(PKIError) {
        let limit = 32 << 10
        guard der.count <= limit else { throw .tooLarge("private key", limit: "32 KiB") }
        let key = unsafe OpenSSLMemory.wiping {
            unsafe der.withBytes { bytes in
                unsafe OpenSSL.decode(bytes, free: EVP_PKEY_free) { position, count in
                    // Where the first reads nothing it leaves the pointer where it was.
                    unsafe aegis_pkcs8_p256_key(position, count) ?? aegis_pkcs8_key(position, count)
                        ?? d2i_AutoPrivateKey(nil, position, count)
                }
            }
        }
        // Why OpenSSL refused it is left out: it has tried all the forms and lists the failures of each.
        ERR_clear_error()
        guard let key = unsafe key else {
            throw .malformed("private key", reason: "it is neither PKCS#8, PKCS#1 nor SEC 1")
        }
        try unsafe self.init(takingOwnership: key)
    }

    /// Reads the one key of a PEM text, with anything around it: PKCS#8, "RSA PRIVATE KEY" or "EC PRIVATE KEY". Encrypted
    /// keys are refused as such, and so is a key whose halves don't belong together.
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

    /// The key as PKCS#8 in DER.
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
        // The encoder allocated it for us; it is wiped when freed.
        defer { unsafe aegis_clear_free(start, length) }
        return SecretBytes(capacity: length) { bytes in
            for index in 0..<length { unsafe bytes.append(start[index]) }
        }
    }

    /// The key as PKCS#8 in PEM.
    package func pem() throws(PKIError) -> SecretBytes {
        try der().withBytes { der in PEM.secretText("PRIVATE KEY", der) }
    }

    /// Whether the certificate is for this key.
    package func matches(_ certificate: Certificate) -> Bool {
        if let own = try? publicKeyDER(), own == certificate.publicKeyDER { return true }
        defer { extendLifetime(self) }
        // The same key can be written in several ways: a compressed point, parameters that are absent or null.
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
    /// Lends the `EVP_PKEY` for as long as `body` runs.
    func withHandle<Result>(_ body: (OpaquePointer) -> Result) -> Result {
        defer { extendLifetime(self) }
        return unsafe body(key)
    }

    /// Signs a certificate (an `X509`) that is complete but for its signature.
    func sign(certificate: OpaquePointer) throws(PKIError) {
        defer { extendLifetime(self) }
        try unsafe OpenSSL.check("signing a certificate", X509_sign(certificate, key, keyKind.digest))
    }

    /// Makes this the key that a request (an `X509_REQ`) is for, and signs it.
    func sign(request: OpaquePointer) throws(PKIError) {
        defer { extendLifetime(self) }
        try unsafe OpenSSL.check("making a request", X509_REQ_set_pubkey(request, key))
        try unsafe OpenSSL.check("signing a request", X509_REQ_sign(request, key, keyKind.digest))
    }

    /// What the private half signs, the public half must verify: a file that was damaged or patched together doesn't.
    private func checkPair() throws(PKIError) {
        defer { extendLifetime(self) }
        let context = try unsafe OpenSSL.require("checking a key", EVP_MD_CTX_new())
        defer { unsafe EVP_MD_CTX_free(context) }
        let message = Array("aegis".utf8)
        // Larger than the signature of any key that fits the limit on DER.
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
    /// The kind of key; nothing of the key.
    package var description: String { "private key (\(kind))" }
    /// A mirror without children.
    package var customMirror: Mirror { Mirror(self, children: []) }
}
