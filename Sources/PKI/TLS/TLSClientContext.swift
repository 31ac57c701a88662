import COpenSSL

/// What all connections to upstreams with one idea of trust have in common. The server's certificate is always verified.
/// Confined to one thread.
@safe
public final class TLSClientContext {
    let context: OpaquePointer

    /// Whom connections trust.
    public enum Trust: Sendable, Hashable {
        /// The system's certificate authorities.
        case system
        /// These certificate authorities alone, in PEM.
        case authorities([UInt8])
    }

    /// A context.
    ///
    /// - Throws: `PKIError` when the authorities can't be read.
    public init(trust: Trust) throws(PKIError) {
        let action = "setting up TLS to upstreams"
        let context = try unsafe OpenSSL.require(action, SSL_CTX_new(TLS_client_method()))
        unsafe self.context = context
        try unsafe OpenSSL.check(action, aegis_set_min_version_of_all(context, TLS1_2_VERSION))
        try unsafe TLSGroups.set(on: context)
        unsafe SSL_CTX_set_options(context, aegis_no_renegotiation | aegis_no_compression)
        unsafe aegis_set_modes(context, Int(SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER))
        unsafe aegis_stop_after_each_record(context)
        unsafe SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        switch trust {
        case .system: try unsafe OpenSSL.check(action, SSL_CTX_set_default_verify_paths(context))
        case .authorities(let pem):
            let store = try unsafe OpenSSL.require(action, SSL_CTX_get_cert_store(context))
            let certificates = try CertificateChain.certificates(inPEM: pem)
            for certificate in certificates { try unsafe Self.add(certificate, to: store) }
        }
    }

    deinit { unsafe SSL_CTX_free(context) }

    private static func add(_ certificate: Certificate, to store: OpaquePointer) throws(PKIError) {
        let parsed = unsafe OpenSSL.decode(certificate.der.span, free: X509_free) { position, count in
            unsafe d2i_X509(nil, position, count)
        }
        let handle = try unsafe OpenSSL.require("reading a certificate authority", parsed)
        defer { unsafe X509_free(handle) }
        try unsafe OpenSSL.check("reading a certificate authority", X509_STORE_add_cert(store, handle))
    }
}
