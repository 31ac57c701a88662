import COpenSSL

/// A chain and its key, parsed, ready to be shown in handshakes. About 6 KiB; parsing takes about half a millisecond.
@safe
public final class TLSCredential: Sendable {
    // Sound to share: never changed after init; OpenSSL's reference counts are atomic.
    private nonisolated(unsafe) let leaf: OpaquePointer
    private nonisolated(unsafe) let intermediates: OpaquePointer
    private let key: PrivateKey

    /// Parses a chain in DER, leaf first, and takes its key.
    ///
    /// - Throws: `PKIError` when something of it can't be read or the key is another's.
    public init(chain: [[UInt8]], key: PrivateKey) throws(PKIError) {
        guard let first = chain.first, let leaf = unsafe Self.parse(first) else {
            throw .malformed("certificate", reason: "it is no X.509 certificate in DER")
        }
        guard let stack = unsafe aegis_x509_stack() else {
            unsafe X509_free(leaf)
            throw .openSSL("making a chain", reasons: OpenSSL.drainReasons())
        }
        unsafe (self.leaf, intermediates, self.key) = (leaf, stack, key)
        for der in chain.dropFirst() {
            guard let certificate = unsafe Self.parse(der) else {
                throw .malformed("certificate", reason: "an intermediate is no X.509 certificate in DER")
            }
            guard unsafe aegis_x509_stack_push(stack, certificate) > 0 else {
                unsafe X509_free(certificate)
                throw .openSSL("making a chain", reasons: OpenSSL.drainReasons())
            }
        }
        ERR_clear_error()
        guard unsafe key.withHandle({ unsafe X509_check_private_key(leaf, $0) }) == 1 else {
            ERR_clear_error()
            throw .malformed("private key", reason: "it is not the certificate's")
        }
    }

    deinit {
        unsafe X509_free(leaf)
        unsafe aegis_x509_stack_free(intermediates)
    }

    /// Shows this in a connection's handshake (an `SSL`), which keeps references of its own.
    func use(in connection: OpaquePointer) -> Bool {
        ERR_clear_error()
        return unsafe key.withHandle { key in
            unsafe SSL_use_cert_and_key(connection, leaf, key, intermediates, 1)
        } == 1
    }

    private static func parse(_ der: [UInt8]) -> OpaquePointer? {
        unsafe OpenSSL.decode(der.span, free: X509_free) { position, count in
            unsafe d2i_X509(nil, position, count)
        }
    }
}
