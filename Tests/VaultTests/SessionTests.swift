import PKI
import Testing

@testable import Vault

/// How long tokens of a real server live.
@Suite struct SessionTests {
    private let server: VaultServerProgram

    init() throws { server = try VaultServerProgram.shared.get() }

    private static let policy = #"path "secret/data/*" { capabilities = ["read"] }"#
    private static func place(_ path: String) -> VaultSecretPlace {
        VaultSecretPlace(mount: "secret", path: path, certificate: "cert", key: "key", authorities: nil)
    }

    private func write(_ path: String) throws {
        try server.set("secret/data/\(path)", ["data": ["cert": "C", "key": "K"]])
    }

    /// Revokes the token of a role's session, which is the role's only one.
    private func revoke(_ role: String) throws {
        let list = try server.operate(.get, "auth/token/accessors?list=true").data["data"] as? [String: Any]
        for accessor in list?["keys"] as? [String] ?? [] {
            let facts = try server.operate(.post, "auth/token/lookup-accessor", ["accessor": accessor])
            let policies = (facts.data["data"] as? [String: Any])?["policies"] as? [String] ?? []
            if policies.contains(role) { try server.set("auth/token/revoke-accessor", ["accessor": accessor]) }
        }
    }

    @Test("A token is renewed in time, and replaced when max_ttl cuts renewals short")
    func capped() throws {
        let clock = TestClock()
        let session = try server.session("capped", settings: ["token_ttl": "600s", "token_max_ttl": "1h"], clock)
        let first = session.tend()
        #expect(first.failure == nil && (clock.now + 390...clock.now + 400).contains(first.nextAt))
        let end = try #require(session.tokenEndsAt)
        clock.advance(401)
        #expect(session.tend().failure == nil)
        let renewed = try #require(session.tokenEndsAt)
        #expect(renewed > end)
        // The role now allows only a short lifetime, as for a token near its greatest age.
        try server.set("auth/approle/role/capped", ["token_ttl": "90s", "token_max_ttl": "90s"])
        clock.advance(401)
        #expect(session.tend().failure == nil)
        let cut = try #require(session.tokenEndsAt)
        #expect(cut - clock.now <= 90)
        try server.set("auth/approle/role/capped", ["token_ttl": "600s", "token_max_ttl": "1h"])
        clock.advance(70)
        #expect(session.tend().failure == nil)
        #expect(try #require(session.tokenEndsAt) > clock.now + 500, "it has logged in again")
    }

    @Test("A batch token, which can't be renewed, is replaced before it ends")
    func batch() throws {
        let clock = TestClock()
        let session = try server.session("batch", settings: ["token_ttl": "600s", "token_type": "batch"], clock)
        #expect(session.tend().failure == nil)
        let end = try #require(session.tokenEndsAt)
        clock.advance(450)
        #expect(session.tend().failure == nil)
        #expect(try #require(session.tokenEndsAt) > end)
    }

    @Test("A revoked token is replaced within the call that finds it revoked")
    func revoked() throws {
        try write("revoked")
        let session = try server.session("revoked", policy: Self.policy)
        #expect(try session.secret(at: Self.place("revoked")).version == 1)
        try revoke("revoked")
        #expect(try session.secret(at: Self.place("revoked")).version == 1)
    }

    @Test("Each check reports an invalid token until it is replaced")
    func invalid() throws {
        let clock = TestClock()
        let session = VaultSession(try server.client(clock), login: VaultLogin(.token(secret("hvs.none"))), jitter: 0)
        let nextAt = session.tend().nextAt
        // A call also fails to log in, which delays the next login.
        clock.advance(nextAt - clock.now)
        #expect(throws: VaultError.self) { try session.secret(at: Self.place("invalid")) }
        for _ in 0..<2 { #expect(session.tend().failure?.kind == .deadToken) }
    }

    @Test("A token with limited uses causes a warning, and is replaced when used up")
    func uses() throws {
        try write("uses")
        let session = try server.session("uses", policy: Self.policy, settings: ["token_num_uses": 2])
        #expect(
            session.tend().notes == ["the token from 'auth/approle' is good for 2 calls alone (token_num_uses)"])
        for _ in 0..<3 { #expect(try session.secret(at: Self.place("uses")).version == 1) }
    }

    @Test("A call that a policy forbids is reported, and causes no login")
    func forbidden() throws {
        try write("forbidden")
        let session = try server.session(
            "forbidden", policy: #"path "secret/data/other" { capabilities = ["read"] }"#)
        let error = #expect(throws: VaultError.self) { try session.secret(at: Self.place("forbidden")) }
        #expect(
            error?.description == """
                Vault refuses to read 'secret/forbidden' (HTTP 403): permission denied (the token's policies must allow this; \
                does the path need a 'namespace'?)
                """)
        #expect(error?.kind == .denied && error?.isTransient == false)
    }

    @Test("A sealed server is awaited, and used again when it is unsealed")
    func sealed() throws {
        let server = try VaultServerProgram()
        try server.set("secret/data/x", ["data": ["cert": "C", "key": "K"]])
        let session = try server.session("sealed", policy: Self.policy)
        #expect(try session.secret(at: Self.place("x")).version == 1)
        try server.set("sys/seal")
        let error = #expect(throws: VaultError.self) { try session.secret(at: Self.place("x")) }
        #expect(
            error?.description
                == "Vault refuses to read 'secret/x' (HTTP 503): Vault is sealed (unseal it: vault operator unseal)")
        #expect(error?.kind == .unavailable && error?.isTransient == true)
        let status = try server.operate(.put, "sys/unseal", ["key": server.unsealKey]).status
        #expect(status == 200)
        #expect(try session.secret(at: Self.place("x")).version == 1)
    }

    @Test("A mismatch of http and https at the port is reported")
    func wrongScheme() throws {
        func failure(_ address: String) throws -> VaultError? {
            let client = try VaultClient(
                VaultServer(address: address), jitter: 0, wait: { _, _ in }, now: { 1_800_000_000 })
            return VaultSession(client, login: VaultLogin(.token(secret("root"))), jitter: 0).tend().failure
        }
        #expect(
            try failure("http://127.0.0.1:\(server.tlsPort)")?.description == """
                the server refuses to look its token up (HTTP 400) (this port speaks TLS: write https:// in the address)
                """)
        let plain = try #require(try failure("https://127.0.0.1:\(server.port)"))
        #expect(
            plain.kind == .unreachable && plain.hint == "does this port speak TLS, and is the address right?",
            "\(plain)")
        let untrusted = try #require(try failure("https://127.0.0.1:\(server.tlsPort)"))
        #expect(untrusted.hint == "a CA that the system does not trust is named by ca_file")
        let nobody = try #require(try failure("http://127.0.0.1:1"))
        #expect(
            nobody.description == "Vault can't be asked to look its token up: 127.0.0.1:1: connection refused"
                && nobody.isTransient)
    }
}
