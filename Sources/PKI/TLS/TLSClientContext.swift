import COpenSSL

/// The TLS settings that connections to upstreams share. The server's certificate is verified by the connection's own
/// rules (`TLSConnection.verify`), or else by the context's trust.
///
/// `@unchecked Sendable` is safe: after init the context never changes, except for its reference count, which is
/// atomic, and its store, which OpenSSL locks. Threads share a context, since reading the system's CAs takes many
/// milliseconds.
@safe
package final class TLSClientContext: @unchecked Sendable {
    let context: OpaquePointer

    /// The CAs that the context trusts. They are used for connections without rules of their own.
    package enum Trust: Sendable {
        /// The CAs in OpenSSL's default places. The variables SSL_CERT_FILE and SSL_CERT_DIR name other places.
        case system
        /// No CA, so a connection without rules of its own fails.
        case nobody
        /// A handshake continues even if the connection's own rules refuse the server; `TLSConnection.verdict` has the
        /// refusal. Only for inspecting a server, never for sending data.
        case anybody
    }

    /// - Throws: `PKIError` if OpenSSL fails.
    package init(trust: Trust) throws(PKIError) {
        let action = "setting up TLS to upstreams"
        let context = try unsafe OpenSSL.require(action, SSL_CTX_new(TLS_client_method()))
        unsafe self.context = context
        try unsafe OpenSSL.check(action, aegis_set_min_version_of_all(context, TLS1_2_VERSION))
        try unsafe TLSGroups.client(first: .x25519).set(on: context)
        unsafe SSL_CTX_set_options(context, aegis_no_renegotiation | aegis_no_compression)
        unsafe aegis_set_modes(context, Int(SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER))
        unsafe aegis_stop_after_each_record(context)
        unsafe SSL_CTX_set_verify(context, trust == .anybody ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nil)
        unsafe SSL_CTX_set_cert_verify_callback(context, { store, _ in unsafe PeerJudge.answer(store) }, nil)
        // Only subject alternative names count, and a wildcard stands for a whole label (RFC 9525 sections 2 and 6.3).
        unsafe aegis_set_host_flags(
            context, UInt32(X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
        unsafe aegis_cache_client_sessions(context) { ssl, session in
            unsafe SessionLink.keep(session, of: ssl)
            // The cache has a reference of its own.
            return 0
        }
        // The flag X509_V_FLAG_PARTIAL_CHAIN is not set, so a chain must end with a root: the system's directory may
        // also contain certificates of intermediate CAs and of servers.
        if trust == .system { try unsafe OpenSSL.check(action, SSL_CTX_set_default_verify_paths(context)) }
    }

    deinit { unsafe SSL_CTX_free(context) }
}
