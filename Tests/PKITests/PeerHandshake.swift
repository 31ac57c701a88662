import COpenSSL

@testable import PKI

/// A handshake with a server that asks for a certificate.
struct PeerHandshake {
    let outcome: TLSPair.Outcome
    /// The reason why the server has refused the client's certificate.
    let refusal: PeerRefusal?
    /// The client's certificate, as the server knows it at the end.
    let certificate: [UInt8]?
    let isResumed: Bool
    /// The names of CAs that the server has sent.
    let authorities: [String]
    /// The session that the client can resume.
    let session: Session?

    /// A client's session, an `SSL_SESSION`.
    @safe
    final class Session: Sendable {
        nonisolated(unsafe) let handle: OpaquePointer

        init?(of connection: borrowing TLSConnection) {
            // The session is copied, since the connection's own session can't be resumed after the connection was cut
            // off.
            guard let handle = unsafe SSL_SESSION_dup(SSL_get_session(connection.ssl)) else { return nil }
            unsafe self.handle = handle
        }

        deinit { unsafe SSL_SESSION_free(handle) }
    }

    /// The contexts that all handshakes of a test share.
    struct Ends {
        let client: TLSClientContext
        let server: TLSServerContext

        init() throws {
            client = try TLSClientContext(trust: .system)
            server = try TLSServerContext(tickets: TicketKeys())
        }
    }

    /// A server's certificate, and the CA that clients trust for it.
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
        // The rules are released before the client's certificate arrives. The connection must keep what it needs.
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

    /// Makes a handshake in which a server shows this chain to a client with these rules. Returns why the client
    /// refuses the chain.
    static func run(
        server chain: [Forge.Made], by rules: PeerRules, version: TLSConnection.Version, ends: Ends
    ) throws -> (outcome: TLSPair.Outcome, refusal: PeerRefusal?) {
        let pair = try TLSPair(ends.client, ends.server, version: version)
        // Only the rules are tested, not the server's name.
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
        // This is safe, since the elements are X509_NAMEs that the list owns.
        return unsafe (0..<max(0, OPENSSL_sk_num(names))).map { index in
            unsafe PeerCertificate.text(of: OpaquePointer(OPENSSL_sk_value(names, index)))
        }
    }
}
