import COpenSSL

/// The parsed CA certificates of a chain. Thousands of leaves may share one instance.
@safe
package final class TLSIntermediates: Sendable {
    // Sharing the pointer is sound: the stack does not change after init, and OpenSSL's reference counts are atomic.
    fileprivate nonisolated(unsafe) let stack: OpaquePointer

    /// Parses certificates in DER.
    ///
    /// - Throws: `PKIError` if a certificate can't be read.
    package init(der: some Sequence<[UInt8]>) throws(PKIError) {
        let stack = try unsafe OpenSSL.require("making a chain", aegis_x509_stack())
        unsafe self.stack = stack
        for der in der {
            guard let certificate = unsafe TLSCredential.parse(der) else {
                throw .malformed("certificate", reason: "an intermediate is no X.509 certificate in DER")
            }
            guard unsafe aegis_x509_stack_push(stack, certificate) > 0 else {
                unsafe X509_free(certificate)
                throw .openSSL("making a chain", reasons: OpenSSL.drainReasons())
            }
        }
    }

    deinit { unsafe aegis_x509_stack_free(stack) }
}

/// A parsed chain and its private key for handshakes. An instance takes about 5 KiB, and parsing takes about 0.5 ms.
@safe
package final class TLSCredential: Sendable {
    // Sharing the pointer is sound: the leaf does not change after init, and OpenSSL's reference counts are atomic.
    private nonisolated(unsafe) let leaf: OpaquePointer
    private let intermediates: TLSIntermediates
    private let key: PrivateKey

    /// Parses a chain in DER, the leaf first.
    ///
    /// - Throws: `PKIError` if a certificate can't be read or the key does not belong to the leaf.
    package convenience init(chain: [[UInt8]], key: PrivateKey) throws(PKIError) {
        try self.init(leaf: chain.first ?? [], intermediates: TLSIntermediates(der: chain.dropFirst()), key: key)
    }

    /// Parses a leaf in DER. `intermediates` are the CA certificates above it.
    ///
    /// - Throws: `PKIError` if the leaf can't be read or the key does not belong to the leaf.
    package init(leaf der: [UInt8], intermediates: TLSIntermediates, key: PrivateKey) throws(PKIError) {
        guard let leaf = unsafe Self.parse(der) else {
            throw .malformed("certificate", reason: "it is no X.509 certificate in DER")
        }
        unsafe self.leaf = leaf
        self.intermediates = intermediates
        self.key = key
        ERR_clear_error()
        guard unsafe key.withHandle({ unsafe X509_check_private_key(leaf, $0) }) == 1 else {
            ERR_clear_error()
            throw .malformed("private key", reason: "it is not the certificate's")
        }
    }

    deinit { unsafe X509_free(leaf) }

    /// Sets the credential of a connection (an `SSL`), which takes its own references. Returns false if OpenSSL rejects
    /// the credential.
    func use(in connection: OpaquePointer) -> Bool {
        ERR_clear_error()
        return unsafe key.withHandle { key in
            unsafe SSL_use_cert_and_key(connection, leaf, key, intermediates.stack, 1)
        } == 1
    }

    /// Sets the credential of all later connections of an `SSL_CTX`, which takes its own references. Returns false if
    /// OpenSSL rejects the credential.
    @unsafe
    package func use(inContext context: UnsafeMutableRawPointer) -> Bool {
        ERR_clear_error()
        return unsafe key.withHandle { key in
            unsafe SSL_CTX_use_cert_and_key(OpaquePointer(context), leaf, key, intermediates.stack, 1)
        } == 1
    }

    fileprivate static func parse(_ der: [UInt8]) -> OpaquePointer? {
        unsafe OpenSSL.decode(der.span, free: X509_free) { position, count in
            unsafe d2i_X509(nil, position, count)
        }
    }
}
