/// What a server demands of a connection. A session can be resumed only under a policy that is equal to the policy of
/// its first handshake. So it can't be resumed for another scope, or after the policy has changed. It also can't be
/// resumed after a revocation list has begun or become overdue since: a resumed session has only the client's own
/// certificate, and the list may be of a CA above it.
package struct TLSPolicy: Sendable {
    package let scope: TLSScope
    package let leastVersion: TLSConnection.Version
    /// How the server authenticates clients by certificates; nil if it asks for none.
    package let clients: ClientAuthentication?
    /// Whether clients may speak HTTP/2.
    package let offersHTTP2: Bool

    package init(
        scope: TLSScope, leastVersion: TLSConnection.Version = .v1_2, clients: ClientAuthentication? = nil,
        offersHTTP2: Bool = false
    ) {
        (self.scope, self.leastVersion, self.clients) = (scope, leastVersion, clients)
        self.offersHTTP2 = offersHTTP2
    }

    /// The session ID context, which OpenSSL stores in each session and compares before it resumes one
    /// (SSL_CTX_set_session_id_context(3)). It has the scope, one byte of flags, when a revocation list next begins or
    /// becomes overdue, and the start of the rules' digest.
    var sessionContext: InlineArray<32, UInt8> {
        let flags = leastVersion.rawValue | (clients == nil ? 0 : 2) | (clients?.isRequired == true ? 4 : 0)
        let rules = clients?.trust.rules.digest
        let turn = clients?.trust.nextTurnOfLists ?? 0
        return InlineArray { index in
            switch index {
            case 0..<16: scope.bytes[index]
            case 16: flags
            // The low four bytes of seconds are the same only every 136 years.
            case 17..<21: UInt8(truncatingIfNeeded: turn >> (8 * (index - 17)))
            default: rules?[index - 21] ?? 0
            }
        }
    }
}

/// The connections that share sessions, such as those to one host.
package struct TLSScope: Sendable {
    /// Half a SHA-256 digest of the scope's name, which is enough to tell names apart.
    let bytes: InlineArray<16, UInt8>

    package init(_ name: String) {
        let digest = OpenSSL.sha256(Array(name.utf8).span)
        bytes = InlineArray { digest[$0] }
    }
}

/// How a server authenticates its clients by certificates.
package struct ClientAuthentication: Sendable {
    package let trust: PeerTrust
    /// Whether the handshake fails if the client shows no certificate. A certificate that the client shows must be
    /// valid in any case.
    package let isRequired: Bool

    package init(trust: PeerTrust, isRequired: Bool) {
        (self.trust, self.isRequired) = (trust, isRequired)
    }
}
