import COpenSSL

/// What all connections to upstreams with one idea of trust have in common. The server's certificate is always verified.
///
/// To read the system's authorities takes many milliseconds, so threads share one: OpenSSL counts who uses it and locks its
/// store, and nothing else of it changes.
@safe
package final class TLSClientContext: @unchecked Sendable {
    let context: OpaquePointer
    /// Whom its connections trust.
    package let trust: Trust

    /// Whom connections trust.
    package enum Trust: Sendable, Hashable {
        /// The system's certificate authorities.
        case system
        /// These certificates alone, in PEM: of roots, of intermediate authorities, or of servers themselves.
        case authorities([UInt8])
    }

    /// A context.
    ///
    /// - Throws: `PKIError` when the certificates can't be read, or there is none.
    package init(trust: Trust) throws(PKIError) {
        let action = "setting up TLS to upstreams"
        let context = try unsafe OpenSSL.require(action, SSL_CTX_new(TLS_client_method()))
        unsafe self.context = context
        self.trust = trust
        try unsafe OpenSSL.check(action, aegis_set_min_version_of_all(context, TLS1_2_VERSION))
        try unsafe TLSGroups.client(first: .x25519).set(on: context)
        unsafe SSL_CTX_set_options(context, aegis_no_renegotiation | aegis_no_compression)
        unsafe aegis_set_modes(context, Int(SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER))
        unsafe aegis_stop_after_each_record(context)
        unsafe SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        // A name is one of the subject alternative names, and a wildcard a whole label (RFC 9525 sections 2 and 6.3).
        unsafe aegis_set_host_flags(
            context, UInt32(X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
        switch trust {
        case .system: try unsafe OpenSSL.check(action, SSL_CTX_set_default_verify_paths(context))
        case .authorities(let pem):
            let store = try unsafe OpenSSL.require(action, SSL_CTX_get_cert_store(context))
            // What an operator names is trusted as it stands. The system's directory is another matter: on Debian it also
            // holds chains that servers show.
            try unsafe OpenSSL.check(action, X509_STORE_set_flags(store, UInt(X509_V_FLAG_PARTIAL_CHAIN)))
            let certificates = try PEM.certificates(in: pem)
            guard !certificates.isEmpty else { throw .noCertificate }
            for certificate in certificates { try unsafe Self.add(certificate, to: store) }
        }
    }

    deinit { unsafe SSL_CTX_free(context) }

    private static func add(_ der: [UInt8], to store: OpaquePointer) throws(PKIError) {
        let handle = try unsafe Certificate.decode(der)
        defer { unsafe X509_free(handle) }
        try unsafe OpenSSL.check("reading a certificate authority", X509_STORE_add_cert(store, handle))
    }
}
