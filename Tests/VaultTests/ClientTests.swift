import HTTPClient
import PKI
import Testing

@testable import Vault

/// Calls to a server with scripted answers: which calls are repeated, and what operators read.
@Suite struct ClientTests {
    private static let place = VaultSecretPlace(
        mount: "secret", path: "a/b", certificate: "cert", key: "key", authorities: nil)
    private static let order = VaultCertificateOrder(mount: "pki/inner", role: "web", names: [.dns("a.test")])

    private func failure(_ steps: [ScriptedVault.Step], namespace: String? = nil) throws -> (VaultError, ScriptedVault)
    {
        let vault = ScriptedVault([ScriptedVault.token("planted-token")] + steps)
        let session = try vault.session(namespace: namespace)
        let key = try PrivateKey.generate(.ecdsaP256)
        let error = #expect(throws: VaultError.self) { try session.sign(Self.order, key: key) }
        return (try #require(error), vault)
    }

    @Test("A call has the namespace, the token, and no secret in its URL")
    func request() throws {
        let (_, vault) = try failure([], namespace: "ops/edge")
        #expect(vault.calls == ["POST auth/approle/login -", "POST pki/inner/sign/web planted-token"])
        let request = vault.requests[1]
        #expect(request.url == "https://vault.test:8200/v1/pki/inner/sign/web")
        #expect(
            Set(request.fields) == [
                HTTPField("Accept", "application/json"), HTTPField("Content-Type", "application/json"),
                HTTPField("X-Vault-Namespace", "ops/edge"), HTTPField("X-Vault-Request", "true"),
            ])
        #expect(request.authorization?.name == "X-Vault-Token")
        let body = String(decoding: vault.requests[0].body ?? [], as: UTF8.self)
        #expect(body == #"{"role_id":"planted-role","secret_id":"planted-secret"}"#)
    }

    @Test(
        "A server error is tried three times in all",
        arguments: [412, 429, 500, 502, 503, 504].map { ScriptedVault.Step.answer($0, #"{"errors":["trouble"]}"#) }
            + [.lost(mayHaveArrived: false), .lost(mayHaveArrived: true)])
    func retries(_ step: ScriptedVault.Step) throws {
        let (error, vault) = try failure([step, step, step, step])
        #expect(vault.requests.count == 4 && vault.delays.count == 2 && error.isTransient)
        #expect(vault.delays.allSatisfy { (.milliseconds(1000)...(.milliseconds(1500))).contains($0) })
    }

    @Test("A refused call is not repeated", arguments: [400, 404, 405, 501])
    func noRetries(_ status: Int) throws {
        let (error, vault) = try failure([.answer(status, #"{"errors":["no"]}"#)])
        #expect(vault.requests.count == 2 && vault.delays.isEmpty && !error.isTransient && error.status == status)
    }

    @Test("Retry-After is obeyed if there is time, else reported")
    func retryAfter() throws {
        let busy = ScriptedVault.Step.answer(
            429, #"{"errors":["request path quota exceeded"]}"#, [HTTPField("Retry-After", "7")])
        let (_, vault) = try failure([busy, .answer(400, "{}")])
        #expect(vault.delays == [.seconds(7)])
        let long = ScriptedVault.Step.answer(429, #"{"errors":[]}"#, [HTTPField("Retry-After", "90")])
        let (error, patient) = try failure([long])
        #expect(patient.delays.isEmpty && error.retryAfter == .seconds(90))
    }

    @Test("The result says if a certificate may have been signed twice", arguments: [true, false])
    func orphans(mayHaveArrived: Bool) throws {
        let (error, _) = try failure([.lost(mayHaveArrived: mayHaveArrived), .answer(400, #"{"errors":["no"]}"#)])
        #expect(error.mayBeDone == mayHaveArrived)
        let key = try PrivateKey.generate(.ecdsaP256)
        let now: Int64 = 1_800_000_000
        let authority = try CertificateAuthority.makeRoot(commonName: "CA", now: now)
        let leaf = try authority.issue(for: key, names: [.dns("a.test")], now: now, lifetimeSeconds: 3600)
        let texts = [leaf, authority.certificate].map { $0.pem.replacing("\n", with: "\\n") }
        let answer = #"{"data":{"certificate":"\#(texts[0])","ca_chain":["\#(texts[1])"]},"warnings":null}"#
        let vault = ScriptedVault([
            ScriptedVault.token("t"), .lost(mayHaveArrived: mayHaveArrived), .answer(200, answer),
        ])
        let issued = try vault.session().sign(Self.order, key: key)
        #expect(issued.mayHaveOrphan == mayHaveArrived && issued.notes.count == (mayHaveArrived ? 1 : 0))
        #expect(issued.chain.certificates == [leaf] && issued.authorities == [authority.certificate])
    }

    @Test("A redirect within the server is followed once, one to another server never")
    func redirects() throws {
        func step(_ place: String) -> ScriptedVault.Step { .answer(307, "", [HTTPField("Location", place)]) }
        let own = "https://vault.test:8200/v1/pki/inner/sign/web?x=1"
        let (_, vault) = try failure([step(own), .answer(400, #"{"errors":["no"]}"#)])
        #expect(vault.requests.map(\.url).last == own)
        let (twice, _) = try failure([step(own), step(own)])
        #expect(twice.kind == .redirected)
        for place in [
            "https://active.test:8200/v1/pki/inner/sign/web", "https://vault.test:8200.evil.test/v1/", "",
            "http://vault.test:8200/v1/pki/inner/sign/web", "https://vault.test:8200@evil.test/v1/",
        ] {
            let (error, vault) = try failure([step(place)])
            #expect(error.kind == .redirected && vault.requests.count == 2)
        }
        let (error, _) = try failure([step("https://active.test:8200/v1/pki/inner/sign/web?token=planted")])
        #expect(
            error.description == """
                Vault redirects the call to sign by the role 'web' of 'pki/inner' to 'https://active.test:8200', where \
                nothing was sent (a standby that does not forward calls answers so: the address must be that of the active \
                server, or of a balancer that finds it)
                """)
    }

    @Test(
        "An error gives the cause and a hint in one line",
        arguments: [
            (
                400, #"{"errors":["unknown role: web"]}"#,
                "Vault refuses to sign by the role 'web' of 'pki/inner' (HTTP 400): unknown role: web (the mount has no such role: is its name right?)"
            ),
            (
                404, #"{"errors":["no handler for route \"pki/inner/sign/web\". route entry not found."]}"#,
                "Vault refuses to sign by the role 'web' of 'pki/inner' (HTTP 404): no handler for route \"pki/inner/sign/web\". route entry not found. (is the mount right, and does it need a 'namespace'?)"
            ),
            (
                503, #"{"errors":["Vault is sealed"]}"#,
                "Vault refuses to sign by the role 'web' of 'pki/inner' (HTTP 503): Vault is sealed (unseal it: vault operator unseal)"
            ),
            (
                500, #"{"errors":["local node not active but active cluster node not found"]}"#,
                "Vault refuses to sign by the role 'web' of 'pki/inner' (HTTP 500): local node not active but active cluster node not found (the cluster has no active node at present; does it have a leader?)"
            ),
            (
                400, "Client sent an HTTP request to an HTTPS server.\n",
                "the server refuses to sign by the role 'web' of 'pki/inner' (HTTP 400) (this port speaks TLS: write https:// in the address)"
            ),
            (
                502, "<html>\n<h1>planted-token</h1>",
                "the server refuses to sign by the role 'web' of 'pki/inner' (HTTP 502) (this is no answer of Vault's: is the address right, and does a proxy stand before it?)"
            ),
            (
                400, #"{"errors":["you sent\nplanted-token\u001b"]}"#,
                "Vault refuses to sign by the role 'web' of 'pki/inner' (HTTP 400): you sent ****\u{FFFD}"
            ),
            (
                200, "<html>hello</html>",
                "Vault's answer to the call to sign by the role 'web' of 'pki/inner' can't be used (HTTP 200): it is HTML (is the address that of Vault's API?)"
            ),
            (
                200, #"{"data":{"certificate":"none"}}"#,
                "Vault's answer to the call to sign by the role 'web' of 'pki/inner' can't be used (HTTP 200): no certificate found: expected PEM with a CERTIFICATE block"
            ),
        ])
    func words(status: Int, body: String, expected: String) throws {
        let step = ScriptedVault.Step.answer(status, body)
        #expect(try "\(failure([step, step, step]).0)" == expected)
    }

    @Test("A denied call with a valid token is reported as a missing policy")
    func denied() throws {
        let (error, vault) = try failure([ScriptedVault.denied, ScriptedVault.alive])
        #expect(
            vault.calls.dropFirst() == [
                "POST pki/inner/sign/web planted-token", "GET auth/token/lookup-self planted-token",
            ])
        #expect(error.kind == .denied)
        #expect(
            error.description
                == "Vault refuses to sign by the role 'web' of 'pki/inner' (HTTP 403): permission denied (the token's policies must allow this; does the path need a 'namespace'?)"
        )
    }

    @Test("A dead token causes one login, and no other within five minutes")
    func dead() throws {
        let vault = ScriptedVault([
            ScriptedVault.token("one"), ScriptedVault.denied, ScriptedVault.denied, ScriptedVault.token("two"),
            ScriptedVault.denied,
        ])
        let session = try vault.session()
        let error = #expect(throws: VaultError.self) { try session.version(of: Self.place) }
        #expect(error?.kind == .denied)
        let path = "GET sys/internal/ui/mounts/secret/a/b"
        #expect(
            vault.calls == [
                "POST auth/approle/login -", "\(path) one", "GET auth/token/lookup-self one",
                "POST auth/approle/login -", "\(path) two",
            ])
        vault.add(ScriptedVault.denied, ScriptedVault.denied)
        #expect(throws: VaultError.self) { try session.version(of: Self.place) }
        #expect(vault.calls.suffix(2) == ["\(path) two", "GET auth/token/lookup-self two"])
    }

    @Test("If no login can replace a dead token, the error says so, and later calls log in first")
    func loginFails() throws {
        let vault = ScriptedVault([
            ScriptedVault.token("one"), ScriptedVault.denied, ScriptedVault.denied,
            .answer(400, #"{"errors":["invalid role or secret ID"]}"#),
        ])
        let session = try vault.session()
        let error = #expect(throws: VaultError.self) { try session.version(of: Self.place) }
        #expect(error?.reason.hasPrefix("Vault refuses to log in at 'auth/approle' (HTTP 400)") == true)
        let mount = #"{"data":{"type":"kv","options":{"version":"1"}},"warnings":["you sent two"]}"#
        vault.add(ScriptedVault.token("two"), .answer(200, mount))
        session.allowLogin()
        #expect(try session.version(of: Self.place) == .unknown)
        #expect(
            vault.calls.suffix(2) == ["POST auth/approle/login -", "GET sys/internal/ui/mounts/secret/a/b two"])
    }

    @Test("A warning that quotes a secret is shown without it")
    func warnings() throws {
        let vault = ScriptedVault([
            .answer(
                200,
                #"{"auth":{"client_token":"one","lease_duration":600,"renewable":true},"warnings":["planted-secret\nis odd"]}"#
            )
        ])
        #expect(try vault.session().tend().notes == ["****\u{FFFD}is odd"])
    }

    @Test("A token whose renewal fails stays in use, and the renewal is tried again")
    func renewalFails() throws {
        let vault = ScriptedVault([ScriptedVault.token("one", seconds: 600)])
        let session = try vault.session()
        #expect(session.tend().nextAt == vault.now + 400)
        vault.advance(400)
        vault.add(.lost(mayHaveArrived: true), .lost(mayHaveArrived: true), .lost(mayHaveArrived: true))
        let tending = session.tend()
        #expect(tending.failure?.kind == .unreachable && tending.nextAt == vault.now + 10)
        #expect(session.tend().failure?.kind == .unreachable, "it is left alone meanwhile, and not said to be well")
        #expect(vault.requests.count == 4)
        vault.advance(10)
        vault.add(ScriptedVault.token("one", seconds: 600))
        #expect(session.tend().failure == nil && session.tokenEndsAt == vault.now + 600)
    }

    @Test("A token that is not renewable is replaced", arguments: [400, 403])
    func renewalRefused(status: Int) throws {
        let vault = ScriptedVault([ScriptedVault.token("one")])
        let session = try vault.session()
        _ = session.tend()
        vault.advance(450)
        vault.add(.answer(status, #"{"errors":["lease is not renewable"]}"#), ScriptedVault.token("two"))
        #expect(session.tend().failure == nil)
        #expect(vault.calls.suffix(2) == ["POST auth/token/renew-self one", "POST auth/approle/login -"])
    }

    @Test(
        "Names that would change the path are refused",
        arguments: ["", "/", "a//b", "..", "a/../b", "a/.", "a\nb", "a\0"])
    func badNames(_ name: String) throws {
        let error = #expect(throws: VaultError.self) { try VaultPath("pki", name) }
        #expect(error?.kind == .settings)
    }

    @Test("Any character of a name stays within its path segment")
    func paths() throws {
        #expect(try VaultPath("/team/pki/", "sign", "a?b#c%2F ü").text == "team/pki/sign/a%3Fb%23c%252F%20%C3%BC")
    }

    @Test(
        "Plain http is allowed only to this machine",
        arguments: [
            ("http://vault.test:8200", false), ("http://127.0.0.1:8200", true), ("http://localhost:8200/", true),
            ("http://[::1]:8200", true), ("https://vault.test:8200", true), ("http://127.0.0.1.evil.test", false),
            ("ftp://127.0.0.1", false), ("https://a:b@vault.test", false), ("vault.test:8200", false),
        ])
    func addresses(address: String, isGood: Bool) {
        let error = { () -> VaultError? in
            do throws(VaultError) {
                _ = try VaultClient(VaultServer(address: address), jitter: 0, wait: { _, _ in }, now: { 0 })
                return nil
            } catch {
                return error
            }
        }()
        #expect((error == nil) == isGood && (error.map { $0.kind == .settings } ?? true))
    }
}
