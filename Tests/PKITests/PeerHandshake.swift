import COpenSSL

@testable import PKI

/// A handshake with a server that asks for a certificate.
struct PeerHandshake {
    let outcome: TLSPair.Outcome
    /// Why the server has refused the client's certificate.
    let refusal: PeerRefusal?
    /// What the server knows of the client in the end.
    let certificate: [UInt8]?
    let isResumed: Bool
    /// The names of authorities that the client was told.
    let authorities: [String]
    /// What the client can resume.
    let session: Session?

    /// A client's session, an `SSL_SESSION`.
    @safe
    final class Session: Sendable {
        nonisolated(unsafe) let handle: OpaquePointer

        init?(of connection: borrowing TLSConnection) {
            // A copy: the connection's own can't be resumed once that has gone without a farewell.
            guard let handle = unsafe SSL_SESSION_dup(SSL_get_session(connection.ssl)) else { return nil }
            unsafe self.handle = handle
        }

        deinit { unsafe SSL_SESSION_free(handle) }
    }

    /// What all handshakes of a test have in common.
    struct Ends {
        let client: TLSClientContext
        let server: TLSServerContext

        init() throws {
            client = try TLSClientContext(trust: .system)
            server = try TLSServerContext(tickets: TicketKeys())
        }
    }

    /// A server's certificate, and what a client trusts it by.
    static let server = Result {
        let authority = try CertificateAuthority.makeRoot(commonName: "servers", now: testNow)
        let key = try PrivateKey.generate(.ecdsaP256)
        let leaf = try authority.issue(for: key, names: [.dns("server.test")], now: testNow, lifetimeSeconds: 86400)
        let rules = try PeerRules(purpose: .server, authorities: [authority.certificate.der])
        return (
            credential: try TLSCredential(chain: [leaf.der], key: key),
            trust: try PeerTrust(rules: rules, now: { testNow })
        )
    }

    static func run(
        _ chain: [Forge.Made], by rules: PeerRules, version: TLSConnection.Version, isRequired: Bool = true,
        ends: Ends? = nil, resuming session: Session? = nil
    ) throws -> PeerHandshake {
        let ends = try ends ?? Ends()
        let (credential, trust) = try server.get()
        let pair = try TLSPair(ends.client, ends.server, version: version)
        guard pair.client.verify(by: trust) else { throw PKIError.openSSL("trusting", reasons: []) }
        try TLSPair.show(chain, on: pair.client)
        if let session { try unsafe OpenSSL.check("resuming", SSL_set_session(pair.client.ssl, session.handle)) }
        // It is let go before the client's certificate comes: the connection keeps what it needs.
        var asked: PeerTrust? = try PeerTrust(rules: rules, now: { testNow })
        let outcome = pair.run { server in
            defer { asked = nil }
            guard let trust = asked else { return false }
            let clients = ClientAuthentication(trust: trust, isRequired: isRequired)
            return server.choose(credential, TLSPolicy(scope: TLSScope("test"), clients: clients))
        }
        return PeerHandshake(
            outcome: outcome, refusal: outcome.serverFailure.flatMap { pair.server.refusal(after: $0) },
            certificate: pair.server.peerCertificate, isResumed: pair.server.isResumed,
            authorities: Self.authorities(toldTo: pair.client), session: Session(of: pair.client))
    }

    /// A handshake with a server that shows this chain to a client with these rules; why the client refuses it.
    static func run(
        server chain: [Forge.Made], by rules: PeerRules, version: TLSConnection.Version, ends: Ends
    ) throws -> (outcome: TLSPair.Outcome, refusal: PeerRefusal?) {
        let pair = try TLSPair(ends.client, ends.server, version: version)
        // The rules are asked for, not the server's name.
        try unsafe OpenSSL.check(
            "asking for no name", X509_VERIFY_PARAM_set1_host(SSL_get0_param(pair.client.ssl), nil, 0))
        let trust = try PeerTrust(rules: rules, now: { testNow })
        guard pair.client.verify(by: trust) else { throw PKIError.openSSL("trusting", reasons: []) }
        let credential = try Self.server.get().credential
        let outcome = pair.run { server in
            guard server.choose(credential, TLSPolicy(scope: TLSScope("test"))) else { return false }
            return (try? TLSPair.show(chain, on: server)) != nil
        }
        return (outcome, outcome.clientFailure.flatMap { pair.client.refusal(after: $0) })
    }

    private static func authorities(toldTo client: borrowing TLSConnection) -> [String] {
        let names = unsafe SSL_get0_peer_CA_list(client.ssl)
        // Elements are X509_NAMEs of the list.
        return unsafe (0..<max(0, OPENSSL_sk_num(names))).map { index in
            unsafe PeerCertificate.text(of: OpaquePointer(OPENSSL_sk_value(names, index)))
        }
    }
}
