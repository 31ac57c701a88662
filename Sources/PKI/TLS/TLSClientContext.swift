import COpenSSL

/// The TLS settings for connections to upstreams. Connections with the same trust share one context. The server's
/// certificate is always verified.
///
/// `@unchecked Sendable` is sound: after init the context never changes, except for its reference count, which is
/// atomic, and its store, which OpenSSL locks. Threads share a context, since reading the system's CAs takes many
/// milliseconds.
@safe
package final class TLSClientContext: @unchecked Sendable {
    let context: OpaquePointer
    package let trust: Trust

    package enum Trust: Sendable, Hashable {
        /// The CAs that the system trusts.
        case system
        /// Only these certificates, in PEM: roots, intermediate CAs, or servers' own certificates.
        case authorities([UInt8])
    }

    /// - Throws: `PKIError` if a certificate can't be read, or if there is none.
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
        unsafe SSL_CTX_set_cert_verify_callback(context, { store, _ in unsafe PeerJudge.answer(store) }, nil)
        // Only subject alternative names count, and a wildcard must be a whole label (RFC 9525 sections 2 and 6.3).
        unsafe aegis_set_host_flags(
            context, UInt32(X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
        switch trust {
        case .system: try unsafe OpenSSL.check(action, SSL_CTX_set_default_verify_paths(context))
        case .authorities(let pem):
            let store = try unsafe OpenSSL.require(action, SSL_CTX_get_cert_store(context))
            // With this flag, each certificate in the store is trusted by itself. The system's directory does not get
            // the flag, since on Debian it also contains chains that servers send.
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
