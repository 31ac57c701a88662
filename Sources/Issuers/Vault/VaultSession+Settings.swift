import ConfigModel
import PKI
import PrivateFiles
import Vault

extension VaultSession {
    /// Finds the certificate and key of an identity in aegis.yaml, for logins by certificate.
    package typealias IdentityCredential = @Sendable (_ identity: String) throws -> TLSCredential

    /// Makes a session with a Vault that aegis.yaml names. Nothing is sent before the first call. The secrets for the
    /// login are read again at each login.
    ///
    /// - Parameters:
    ///   - authorities: The content of `settings.caFile`; nil if there is none.
    ///   - jitter: A number that differs between processes, so that they don't renew their tokens at the same time.
    ///   - now: Returns seconds since 1970.
    package convenience init(
        _ settings: ConfigModel.VaultServer, authorities: [UInt8]?, secrets: SecretReader, jitter: UInt64,
        now: @escaping @Sendable () -> Int64, credential: @escaping IdentityCredential
    ) throws(IssuanceFailure) {
        let server = Vault.VaultServer(
            address: settings.address.text, authorities: authorities, namespace: settings.namespace)
        do throws(VaultError) {
            let client = try VaultClient(
                server, jitter: jitter, wait: WaitNote.beforeRepeating(to: "Vault '\(settings.name)'"), now: now)
            self.init(client, login: Vault.VaultLogin(settings.login, secrets, credential), jitter: jitter)
        } catch {
            throw IssuanceFailure(error, now: now())
        }
    }
}

extension Vault.VaultLogin {
    init(
        _ settings: ConfigModel.VaultLogin, _ secrets: SecretReader,
        _ credential: @escaping VaultSession.IdentityCredential
    ) {
        func reading(_ secret: ConfigModel.Secret) -> Secret { { try secrets.readLine(secret) } }
        switch settings {
        case .token(let token): self.init(.token(reading(token)))
        case .appRole(let login):
            self.init(
                .appRole(roleID: reading(login.roleID), secretID: reading(login.secretID)), mount: login.mount)
        case .kubernetes(let login):
            let token = ConfigModel.Secret(.file(login.tokenFile))
            self.init(.kubernetes(role: login.role, token: reading(token)), mount: login.mount)
        case .jwt(let login): self.init(.jwt(role: login.role, token: reading(login.token)), mount: login.mount)
        case .certificate(let login):
            self.init(.certificate(role: nil) { try credential(login.identity) }, mount: login.mount)
        }
    }
}

extension SecretReader {
    /// Reads a file of CAs in PEM.
    func authorities(_ path: String) throws(IssuanceFailure) -> [UInt8] {
        do {
            return try PrivateFile.content(of: resolve(path), atMost: PrivateFile.maxBytes).plainCopy()
        } catch {
            throw IssuanceFailure("cannot read '\(path)': \(error)")
        }
    }
}

extension IssuanceFailure {
    /// Converts an error of Vault. `now` is in seconds since 1970.
    package init(_ error: VaultError, now: Int64) {
        let notBefore = error.retryAfter.map { now + min($0.components.seconds, 86_400) }
        self.init(error.reason, hint: error.hint, notBefore: notBefore)
    }
}
