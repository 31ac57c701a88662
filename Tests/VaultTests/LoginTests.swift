import Foundation
import HTTPClient
import PKI
import Testing

@testable import PKI
@testable import Vault

/// Logins at a real server.
@Suite struct LoginTests {
    private let server: VaultServerProgram

    init() throws { server = try VaultServerProgram.shared.get() }

    private static let policy = #"path "secret/*" { capabilities = ["create", "read", "update"] }"#

    /// A file with a secret that a test may replace. A login reads it.
    private final class SecretFile: Sendable {
        let folder: String = NSTemporaryDirectory() + "aegis-vault-\(UUID().uuidString)"
        deinit { try? FileManager.default.removeItem(atPath: folder) }
        func write(_ text: String) throws { try text.write(toFile: folder, atomically: true, encoding: .utf8) }
        var secret: VaultLogin.Secret {
            { SecretBytes(Array(try String(contentsOfFile: self.folder, encoding: .utf8).utf8)) }
        }
    }

    private func session(_ method: VaultLogin.Method, mount: String? = nil, overTLS: Bool = false) throws
        -> VaultSession
    {
        VaultSession(try server.client(overTLS: overTLS), login: VaultLogin(method, mount: mount), jitter: 0)
    }

    /// The error of a session's login; nil if the login succeeded.
    private func failure(_ session: VaultSession) -> VaultError? { session.tend().failure }

    @Test("An AppRole logs in at its mount, and a wrong secret ID is reported")
    func appRole() throws {
        let mount = "team/approle-\(server.port)"
        try server.set("sys/auth/\(mount)", ["type": "approle"])
        try server.set("auth/\(mount)/role/node", ["token_ttl": "10m"])
        let answer = try server.operate(.get, "auth/\(mount)/role/node/role-id").data["data"] as? [String: Any]
        let roleID = try #require(answer?["role_id"] as? String)
        let secretID = try #require(
            server.set("auth/\(mount)/role/node/secret-id", ["num_uses": 1])["secret_id"] as? String)
        let login = VaultLogin.Method.appRole(roleID: secret("\(roleID)\n"), secretID: secret("\(secretID)\n"))
        let good = try session(login, mount: mount)
        #expect(failure(good) == nil && good.tokenEndsAt != nil)
        let used = try #require(failure(session(login, mount: mount)))
        #expect(
            used.description == """
                Vault refuses to log in at 'auth/\(mount)' (HTTP 400): invalid role or secret ID (one of the two is wrong, \
                or the secret ID has expired or has no uses left (secret_id_ttl, secret_id_num_uses); Aegis logs in again \
                when one of them changes)
                """)
        let elsewhere = try #require(failure(session(login, mount: "none")))
        #expect(
            elsewhere.description == """
                Vault refuses to log in at 'auth/none' (HTTP 403): permission denied (does the role accept these credentials? \
                If so, has Vault locked the role after refused logins, is the mount right, and does it need a 'namespace'?)
                """)
        let namespace = VaultSession(
            try server.client(namespace: "none"), login: VaultLogin(login, mount: mount), jitter: 0)
        #expect(failure(namespace)?.hint == "is 'namespace' right?")
    }

    @Test("A login needs a secret that can be read")
    func unreadable() throws {
        let file = SecretFile()
        let missing = try #require(failure(session(.appRole(roleID: secret("x"), secretID: file.secret))))
        #expect(
            missing.kind == .settings && missing.reason.hasPrefix("the secret ID for Vault's login can't be read: "))
        try file.write(" \n")
        #expect(try failure(session(.token(file.secret)))?.reason == "the token for Vault's login is empty")
    }

    /// A JWT signed with ES256.
    private static func jwt(_ key: PrivateKey, audience: String, expires: Int64) throws -> String {
        let claims =
            #"{"sub":"edge-1","aud":"\#(audience)","iat":\#(expires - 900),"nbf":\#(expires - 900),"exp":\#(expires)}"#
        let text = [#"{"alg":"ES256","typ":"JWT"}"#, claims].map { Base64URL.text(Array($0.utf8)) }.joined(
            separator: ".")
        return text + "." + Base64URL.text(try key.signature(of: Array(text.utf8)))
    }

    @Test("A JWT is read for each login, and a refusal is reported")
    func jwt() throws {
        let mount = "jwt-\(server.port)"
        let key = try PrivateKey.generate(.ecdsaP256)
        try server.set("sys/auth/\(mount)", ["type": "jwt"])
        try server.set(
            "auth/\(mount)/config", ["jwt_validation_pubkeys": [PEM.text("PUBLIC KEY", try key.publicKeyDER())]])
        try server.set(
            "auth/\(mount)/role/node",
            ["role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"], "token_ttl": "10m"])
        let (now, file) = (Int64(Date().timeIntervalSince1970), SecretFile())
        let expired = try Self.jwt(key, audience: "vault", expires: now - 7200)
        try file.write(expired)
        let session = try session(.jwt(role: "node", token: file.secret), mount: mount)
        let refused = try #require(failure(session))
        #expect(refused.status == 400 && refused.reason.contains("expired"), "\(refused)")
        #expect(!refused.description.contains(expired))
        try file.write(Self.jwt(key, audience: "vault", expires: now + 600) + "\n")
        // The pause after a failure does not delay a call that needs a token.
        let error = #expect(throws: VaultError.self) {
            try session.version(of: .init(mount: "none", path: "x", certificate: "c", key: "k", authorities: nil))
        }
        #expect(error?.reason.hasPrefix("Vault refuses to tell what 'none' is") == true, "\(error as Any)")
        #expect(session.tokenEndsAt != nil)
        let strange = try self.session(
            .jwt(role: "node", token: secret(Self.jwt(key, audience: "other", expires: now + 600))), mount: mount)
        #expect(failure(strange)?.reason.contains("aud") == true)
    }

    @Test("A pod logs in with its service account's token")
    func kubernetes() throws {
        let mount = "kubernetes-\(server.port)"
        try server.set("sys/auth/\(mount)", ["type": "kubernetes"])
        try server.set(
            "auth/\(mount)/config",
            [
                "kubernetes_host": "http://127.0.0.1:\(server.kubernetesPort)", "disable_local_ca_jwt": true,
                "token_reviewer_jwt": "reviewer", "kubernetes_ca_cert": server.authority.certificate.pem,
            ])
        try server.set(
            "auth/\(mount)/role/edge",
            [
                "bound_service_account_names": "gateway", "bound_service_account_namespaces": "edge",
                "audience": "vault",
                "token_ttl": "10m",
            ])
        let now = Int64(Date().timeIntervalSince1970)
        func token(_ end: String) -> String {
            let claims = """
                {"iss":"kubernetes/serviceaccount","aud":["vault"],"iat":\(now - 300),"nbf":\(now - 300),"exp":\(now + 600),"sub":"system:serviceaccount:edge:gateway",\
                "kubernetes.io":{"namespace":"edge","serviceaccount":{"name":"gateway","uid":"1-2-3"}}}
                """
            return [#"{"alg":"RS256","typ":"JWT"}"#, claims].map { Base64URL.text(Array($0.utf8)) }.joined(
                separator: ".")
                + "." + end
        }
        let good = try session(.kubernetes(role: "edge", token: secret(token("known-to-kubernetes-"))), mount: mount)
        #expect(failure(good)?.description == nil)
        #expect(good.tokenEndsAt != nil)
        let bad = try #require(
            failure(session(.kubernetes(role: "edge", token: secret(token("none"))), mount: mount)))
        #expect(bad.status == 403 && bad.kind == .denied, "\(bad)")
        let nobody = try #require(
            failure(session(.kubernetes(role: "nobody", token: secret(token("none"))), mount: mount)))
        #expect(nobody.hint == "the login method has no such role: is its name right?", "\(nobody)")
    }

    @Test("A certificate logs in over TLS; a missing one, or one of another CA, is reported")
    func certificate() throws {
        let mount = "cert-\(server.port)"
        let now = Int64(Date().timeIntervalSince1970)
        let authority = try CertificateAuthority.makeRoot(commonName: "Nodes", now: now)
        let other = try CertificateAuthority.makeRoot(commonName: "Others", now: now)
        try server.set("sys/auth/\(mount)", ["type": "cert"])
        try server.set("auth/\(mount)/certs/node", ["certificate": authority.certificate.pem, "token_ttl": "10m"])
        func credential(_ authority: CertificateAuthority) throws -> TLSCredential {
            let key = try PrivateKey.generate(.ecdsaP256)
            let template = CertificateTemplate(
                commonName: "edge-1", issuer: authority.certificate, publicKeyDER: try key.publicKeyDER(),
                notBefore: now - 300, notAfter: now + 3600, extensions: [.endEntity])
            return try TLSCredential(chain: [template.signed(by: authority.key).der], key: key)
        }
        let (good, bad) = (try credential(authority), try credential(other))
        let session = try session(.certificate(role: "node", credential: { good }), mount: mount, overTLS: true)
        #expect(failure(session) == nil && session.tokenEndsAt != nil)
        let refused = try #require(
            failure(self.session(.certificate(role: nil, credential: { bad }), mount: mount, overTLS: true)))
        #expect(
            refused.hint == "the login method trusts another CA, or wants other names", "\(refused)")
        let plain = try #require(
            failure(self.session(.certificate(role: nil, credential: { good }), mount: mount, overTLS: false)))
        let missing = "no client certificate arrived at Vault: a load balancer in front of it must pass TLS through"
        #expect(plain.hint == missing, "\(plain)")
    }

    @Test("A configured token is used and renewed; if it dies, the error says that no login can replace it")
    func token() throws {
        let clock = TestClock()
        let file = SecretFile()
        func make(_ settings: [String: Any]) throws -> String {
            let answer = try server.operate(.post, "auth/token/create", settings).data["auth"] as? [String: Any]
            return try #require(answer?["client_token"] as? String)
        }
        let first = try make(["ttl": "10m", "no_parent": true])
        try file.write(first + "\n")
        let session = VaultSession(try server.client(clock), login: VaultLogin(.token(file.secret)), jitter: 0)
        #expect(session.tend().failure == nil)
        clock.advance(401)
        let before = try #require(session.tokenEndsAt)
        #expect(session.tend().failure == nil)
        #expect(try #require(session.tokenEndsAt) > before)
        try server.set("auth/token/revoke", ["token": first])
        clock.advance(700)
        let dead = try #require(session.tend().failure)
        #expect(
            dead.description == """
                the token for Vault has ended, and no login can replace it (put a new token in its place, or let something \
                keep it alive (an agent of Vault))
                """)
        try file.write(make(["ttl": "10m", "no_parent": true]))
        clock.advance(400)
        #expect(session.tend().failure == nil && session.tokenEndsAt != nil)
        let short = VaultSession(
            try server.client(), login: VaultLogin(.token(secret(try make(["ttl": "1h", "renewable": false])))),
            jitter: 0)
        #expect(short.tend().notes.first?.contains("can't be renewed further: put a new one in its place") == true)
        let root = VaultSession(try server.client(), login: VaultLogin(.token(secret("root"))), jitter: 0)
        let tending = root.tend()
        #expect(tending.failure == nil && root.tokenEndsAt == nil && tending.notes.isEmpty)
    }
}
