import COpenSSL

/// Resumes sessions of earlier connections to the same server.
extension TLSConnection {
    /// Makes a client offer its server a session of the cache, and put the server's new sessions into the cache. The
    /// caller must call this before the handshake, after `verify`.
    ///
    /// If the server does not resume the session, it makes a full handshake. `key` must have another scope whenever the
    /// server's name, the rules or the certificate that the client shows differ.
    ///
    /// - Parameters:
    ///   - offers: False makes the handshake a full one.
    ///   - now: In seconds since 1970.
    package borrowing func useSessions(
        of cache: TLSSessionCache, for key: TLSSessionCache.Key, offers: Bool = true, now: Int64
    ) {
        let session = offers ? cache.take(key, now: now) : nil
        let link = SessionLink(cache, key, offering: session)
        let reference = unsafe Unmanaged.passRetained(link)
        guard unsafe SSL_set_ex_data(ssl, SessionLink.index, reference.toOpaque()) == 1 else {
            return unsafe reference.release()
        }
        // The SSL takes a reference to the session. Without the session, the handshake is a full one.
        if let session, unsafe SSL_set_session(ssl, session.handle) != 1 { link.offered = nil }
    }

    /// Whether this handshake offers its server a session.
    package var offersSession: Bool { unsafe SessionLink.of(ssl)?.offered != nil }

    /// Drops all cached sessions for this connection's server. The caller uses this when the server has failed to
    /// resume a session.
    package borrowing func forgetSessions() {
        guard let link = unsafe SessionLink.of(ssl) else { return }
        link.cache.forget(link.key)
    }
}

/// The cache into which a connection puts its sessions, and their key there. The connection's `SSL` holds a reference.
final class SessionLink {
    let cache: TLSSessionCache
    let key: TLSSessionCache.Key
    /// The session that the handshake offers. Nil if the handshake is a full one.
    fileprivate(set) var offered: TLSClientSession?
    /// When all sessions from this connection expire, in seconds since 1970. Nil until the first session has arrived.
    private var end: Int64?

    init(_ cache: TLSSessionCache, _ key: TLSSessionCache.Key, offering session: TLSClientSession?) {
        (self.cache, self.key, offered) = (cache, key, session)
    }

    /// The index under which an `SSL` holds its link (application data of OpenSSL).
    fileprivate static let index: Int32 = {
        let index = unsafe CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, nil, nil, nil) { _, link, _, _, _, _ in
            // OpenSSL calls this closure for each SSL that it frees. `link` is nil if the SSL has none.
            if let link = unsafe link { unsafe Unmanaged<SessionLink>.fromOpaque(link).release() }
        }
        precondition(index >= 0, "OpenSSL has no place for a link to sessions")
        return index
    }()

    fileprivate static func of(_ ssl: OpaquePointer) -> SessionLink? {
        // The pointer is valid: `useSessions` gave the SSL a reference to the link.
        unsafe SSL_get_ex_data(ssl, index).map { unsafe Unmanaged<SessionLink>.fromOpaque($0).takeUnretainedValue() }
    }

    /// Puts a new session of a client into the connection's cache (SSL_CTX_sess_set_new_cb(3)). In TLS 1.3, sessions
    /// arrive after the handshake.
    static func keep(_ session: OpaquePointer?, of ssl: OpaquePointer?) {
        guard let ssl = unsafe ssl, let handle = unsafe session, let link = unsafe of(ssl),
            let end = unsafe link.end(of: ssl, handle), let kept = unsafe TLSClientSession(handle, until: end)
        else { return }
        link.cache.add(kept, for: link.key)
    }

    private func end(of ssl: OpaquePointer, _ session: OpaquePointer) -> Int64? {
        if let end { return end }
        if unsafe SSL_session_reused(ssl) == 1 {
            end = offered?.until
        } else if let chainEnd = unsafe PeerJudge.chainEnd(of: ssl) {
            end = unsafe min(chainEnd, Int64(SSL_SESSION_get_time(session)) + TLSSessionCache.maximumSeconds)
        }
        return end
    }
}
