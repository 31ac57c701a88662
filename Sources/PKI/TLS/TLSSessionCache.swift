import COpenSSL

/// The sessions that servers have given to one thread's connections. Later connections resume them (RFC 8446 section
/// 2.2, RFC 5077), which costs a fraction of a full handshake.
///
/// A resumed handshake verifies no certificate. So a session is used only as long as a full handshake would accept the
/// chain that it was made with, and at most `maximumSeconds` after that handshake. A session from a resumed handshake
/// ends when the resumed session does. A session of TLS 1.3 is used once (RFC 8446 appendix C.4).
///
/// Only one thread may use a cache.
package final class TLSSessionCache {
    /// The connections whose sessions are interchangeable.
    package struct Key: Equatable {
        /// A number from `makeScope`. It stands for the connections with the same server name, rules and client
        /// certificate.
        package let scope: UInt64
        /// The server's address. Servers of one name at several addresses may not know each other's sessions.
        package let address: [UInt8]

        package init(scope: UInt64, address: [UInt8]) { (self.scope, self.address) = (scope, address) }
    }

    /// The largest number of sessions. A session takes some KiB, most of them for the server's certificates.
    static let limit = 512
    /// The largest number of sessions with one key.
    static let limitOfKey = 32
    /// The longest time between a full handshake and the last one that resumes it, in seconds.
    static let maximumSeconds: Int64 = 3600
    /// By how many seconds the clock may be set back without ending sessions.
    private static let clockSlack: Int64 = 60

    /// The sessions, oldest first.
    private var entries: [(key: Key, session: TLSClientSession)] = []
    private var lastScope: UInt64 = 0

    package init() {}

    package var count: Int { entries.count }

    /// Returns a new scope, which no session has. A pool needs a new scope when the server's name, the rules or the
    /// client's certificate change.
    package func makeScope() -> UInt64 {
        lastScope += 1
        return lastScope
    }

    func add(_ session: TLSClientSession, for key: Key) {
        if !session.isForOnce {
            forget(key)
        } else if entries.count(where: { $0.key == key }) >= Self.limitOfKey,
            let oldest = entries.firstIndex(where: { $0.key == key })
        {
            entries.remove(at: oldest)
        }
        if entries.count >= Self.limit { entries.removeFirst() }
        entries.append((key, session))
    }

    /// Returns the newest session that may be resumed at `now`, in seconds since 1970. Removes it if it may be used
    /// only once. Nil if there is none.
    func take(_ key: Key, now: Int64) -> TLSClientSession? {
        while let index = entries.lastIndex(where: { $0.key == key }) {
            let session = entries[index].session
            let isGood = session.isResumable && Self.isCurrent(session, now)
            if !isGood || session.isForOnce { entries.remove(at: index) }
            if isGood { return session }
        }
        return nil
    }

    func forget(_ key: Key) { entries.removeAll { $0.key == key } }

    package func forget(scope: UInt64) { entries.removeAll { $0.key.scope == scope } }

    /// Drops the sessions that may not be resumed any more, so that their secrets don't stay in memory.
    package func forgetExpired(now: Int64) {
        if !entries.isEmpty { entries.removeAll { !Self.isCurrent($0.session, now) } }
    }

    private static func isCurrent(_ session: TLSClientSession, _ now: Int64) -> Bool {
        session.since <= now + clockSlack && now < session.until
    }
}

/// A session that a client can resume.
@safe
final class TLSClientSession {
    let handle: OpaquePointer
    /// When the server issued the session, in seconds since 1970.
    let since: Int64
    /// When the session must not be resumed any more, in seconds since 1970.
    let until: Int64
    /// Whether the session is of TLS 1.3, and so may be resumed only once.
    let isForOnce: Bool

    /// The largest ticket that is kept.
    private static let maximumTicketBytes = 16 << 10

    /// Takes a reference to an `SSL_SESSION`. `limit` is when the sessions of its full handshake end, in seconds since
    /// 1970.
    ///
    /// - Returns: Nil if the session should not be kept.
    init?(_ handle: OpaquePointer, until limit: Int64) {
        let since = unsafe Int64(SSL_SESSION_get_time(handle))
        let until = unsafe min(limit, since + Int64(SSL_SESSION_get_timeout(handle)))
        let isForOnce = unsafe SSL_SESSION_get_protocol_version(handle) == TLS1_3_VERSION
        // A ticket with a lifetime of 0 must be dropped at once (RFC 8446 section 4.6.1).
        let isDropped = unsafe isForOnce && SSL_SESSION_get_ticket_lifetime_hint(handle) == 0
        var ticketBytes = 0
        unsafe SSL_SESSION_get0_ticket(handle, nil, &ticketBytes)
        guard since < until, !isDropped, ticketBytes <= Self.maximumTicketBytes,
            unsafe SSL_SESSION_up_ref(handle) == 1
        else { return nil }
        unsafe self.handle = handle
        (self.since, self.until, self.isForOnce) = (since, until, isForOnce)
    }

    deinit { unsafe SSL_SESSION_free(handle) }

    /// Whether the session may be resumed. False after a connection with the session has failed, for example by a fatal
    /// alert (RFC 5246 section 7.2).
    var isResumable: Bool { unsafe SSL_SESSION_is_resumable(handle) == 1 }
}
