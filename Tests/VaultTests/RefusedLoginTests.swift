import PKI
import Synchronization
import Testing

@testable import Vault

/// A text that a test changes while a session reads it.
private final class SharedText: Sendable {
    let value: Mutex<String>
    init(_ text: String) { value = Mutex(text) }
}

/// Credentials that Vault refuses.
struct RefusedLoginTests {
    private static let wrong = ScriptedVault.Step.answer(400, #"{"errors":["invalid role or secret ID"]}"#)

    /// A session whose secret a test may change.
    private func session(
        _ vault: ScriptedVault, _ secret: SharedText, isAppRole: Bool = true
    ) throws -> VaultSession {
        let read: VaultLogin.Secret = { SecretBytes(Array(secret.value.withLock { $0 }.utf8)) }
        let method: VaultLogin.Method =
            isAppRole
            ? .appRole(roleID: { SecretBytes(Array("role".utf8)) }, secretID: read)
            : .jwt(role: nil, token: read)
        return VaultSession(try vault.client(), login: VaultLogin(method), jitter: 0)
    }

    @Test("An AppRole's refused secret ID is not sent again until it changes, or an operator asks for it")
    func appRole() throws {
        let vault = ScriptedVault([Self.wrong, Self.wrong, ScriptedVault.token("planted")])
        let secret = SharedText("stale")
        let session = try session(vault, secret)
        let first = try #require(session.tend().failure)
        for _ in 0..<20 {
            vault.advance(3600)
            #expect(session.tend().failure == first)
        }
        #expect(vault.requests.count == 1)
        session.allowLogin()
        #expect(session.tend().failure == first)
        vault.advance(3600)
        #expect(session.tend().failure == first && vault.requests.count == 2)
        secret.value.withLock { $0 = "good" }
        vault.advance(3600)
        #expect(session.tend().failure == nil && vault.requests.count == 3)
    }

    @Test("Other refused credentials are sent again after five minutes", arguments: [true, false])
    func others(isAppRole: Bool) throws {
        // A locked AppRole gets 403 even with good credentials.
        let refusal = isAppRole ? ScriptedVault.denied : Self.wrong
        let vault = ScriptedVault([refusal, refusal, ScriptedVault.token("planted")])
        let session = try session(vault, SharedText("x"), isAppRole: isAppRole)
        #expect(session.tend().failure != nil)
        vault.advance(299)
        #expect(session.tend().failure != nil && vault.requests.count == 1)
        vault.advance(1)
        _ = session.tend()
        vault.advance(300)
        _ = session.tend()
        vault.advance(300)
        #expect(session.tend().failure == nil && vault.requests.count == 3)
    }

    @Test("A login that Vault could not answer is repeated with the same credentials")
    func outage() throws {
        let sealed = ScriptedVault.Step.answer(503, #"{"errors":["Vault is sealed"]}"#)
        let vault = ScriptedVault([sealed, sealed, sealed, ScriptedVault.token("planted")])
        let session = try session(vault, SharedText("x"))
        #expect(session.tend().failure != nil)
        vault.advance(10)
        #expect(session.tend().failure == nil)
    }
}
