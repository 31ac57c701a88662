import HTTPClient
import PKI
import Remote

/// How Aegis obtains a token. Secrets are read again for each login, since files with tokens are replaced regularly.
package struct VaultLogin: Sendable {
    /// Reads a secret. White space around it is ignored. If it throws, the description of the error is shown to
    /// operators, so it must not contain a secret.
    package typealias Secret = @Sendable () throws -> SecretBytes

    package enum Method: Sendable {
        /// A token that another program renews or replaces.
        case token(Secret)
        case appRole(roleID: Secret, secretID: Secret?)
        case kubernetes(role: String, token: Secret)
        /// `role` is nil for the method's default role.
        case jwt(role: String?, token: Secret)
        /// A client certificate, shown in the TLS handshake. `role` is nil if Vault may choose any matching role.
        case certificate(role: String?, credential: @Sendable () throws -> TLSCredential)
    }

    let method: Method
    private let mount: String

    /// `mount` is the login method's path below `auth/`. Nil means the method's name.
    package init(_ method: Method, mount: String? = nil) {
        self.method = method
        self.mount =
            mount
            ?? {
                switch method {
                case .token: "token"
                case .appRole: "approle"
                case .kubernetes: "kubernetes"
                case .jwt: "jwt"
                case .certificate: "cert"
                }
            }()
    }

    /// The file with the Kubernetes token of a pod. Kubernetes replaces the token about every hour.
    package static let kubernetesTokenFile = "/var/run/secrets/kubernetes.io/serviceaccount/token"

    /// The largest token that is read, in bytes.
    private static let maximumSecretBytes = 64 << 10

    /// Obtains a new token. `former` is the token that has expired or will expire soon; nil if there is none. If the
    /// credentials are those of `refused`, they may not be sent, and the former refusal is thrown.
    func token(
        from client: VaultClient, replacing former: VaultToken?, _ refused: inout VaultRefusedLogin
    ) throws(VaultError) -> VaultGrant {
        switch method {
        case .token(let secret):
            return try adopt(Self.read("the token", secret), replacing: former, client)
        case .appRole(let roleID, let secretID):
            var body = ["role_id": try Self.read("the role ID", roleID)]
            if let secretID { body["secret_id"] = try Self.read("the secret ID", secretID) }
            return try logIn(client, body, unlessIn: &refused)
        case .kubernetes(let role, let token):
            let body = ["jwt": try Self.read("the Kubernetes token", token)]
            return try logIn(client, body, role: ("role", role), unlessIn: &refused)
        case .jwt(let role, let token):
            let body = ["jwt": try Self.read("the JWT", token)]
            return try logIn(client, body, role: role.map { ("role", $0) }, unlessIn: &refused)
        case .certificate(let role, let credential):
            let shown: TLSCredential
            do {
                shown = try credential()
            } catch {
                throw VaultError(.settings, "the certificate for Vault's login can't be used: \(error)")
            }
            return try logIn(client, [:], role: role.map { ("name", $0) }, showing: shown)
        }
    }

    /// Logs in with secrets, unless Vault has refused them.
    private func logIn(
        _ client: VaultClient, _ secrets: [String: SecretBytes], role: (key: String, name: String)? = nil,
        unlessIn refused: inout VaultRefusedLogin
    ) throws(VaultError) -> VaultGrant {
        let credentials = Digest.sha256(
            secrets.sorted { $0.key < $1.key }.flatMap { Digest.sha256($0.value.plainCopy()) })
        if let error = refused.error(for: credentials, at: client.now()) { throw error }
        do throws(VaultError) {
            return try logIn(client, secrets, role: role)
        } catch {
            let isAppRole = if case .appRole = method { true } else { false }
            refused.record(error, for: credentials, isAppRole: isAppRole, at: client.now())
            throw error
        }
    }

    private func logIn(
        _ client: VaultClient, _ secrets: [String: SecretBytes], role: (key: String, name: String)? = nil,
        showing credential: TLSCredential? = nil
    ) throws(VaultError) -> VaultGrant {
        var body = secrets.mapValues { String(decoding: $0.plainCopy(), as: UTF8.self) }
        if let role { body[role.key] = role.name }
        let call = VaultCall(
            method: .post, path: try VaultPath("auth", mount, "login"), body: RemoteJSON.encode(body),
            action: "log in at 'auth/\(mount.oneLine(limit: 100))'", secrets: Array(secrets.values))
        let now = client.now()
        let reply = try client.send(call, token: nil, showing: credential)
        let envelope = try reply.read(VaultNothing.self, for: call.action)
        guard let auth = envelope.auth else { throw reply.malformed("'auth' is missing", for: call.action) }
        var notes = envelope.notes(hiding: reply.secrets)
        if let uses = auth.uses, uses > 0 {
            notes.append(
                "the token from 'auth/\(mount.oneLine(limit: 100))' is good for \(uses) calls alone (token_num_uses)")
        }
        return VaultGrant(token: VaultToken(auth, at: now), notes: notes)
    }

    /// Checks a token that the operator provides. Throws if it is not valid.
    private func adopt(
        _ secret: SecretBytes, replacing former: VaultToken?, _ client: VaultClient
    ) throws(VaultError) -> VaultGrant {
        let now = client.now()
        guard let facts = try client.facts(of: secret) else {
            let isSame = secret == former?.secret
            throw VaultError(
                .deadToken, "the token for Vault \(isSame ? "has ended" : "is not valid"), and no login can replace it",
                hint: "put a new token in its place, or let something keep it alive (an agent of Vault)", status: 403)
        }
        let token = VaultToken(secret, facts, at: now)
        var notes: [String] = []
        if let uses = facts.uses, uses > 0 { notes.append("the token for Vault is good for \(uses) more calls alone") }
        if let endsAt = token.life.endsAt, !token.life.isRenewable || former?.secret == secret {
            notes.append(
                "the token for Vault ends in \(max(0, endsAt - now)) s, and can't be renewed further: put a new one in its place"
            )
        }
        return VaultGrant(token: token, notes: notes)
    }

    private static func read(_ name: String, _ secret: Secret) throws(VaultError) -> SecretBytes {
        let read: SecretBytes
        do {
            read = try secret()
        } catch {
            throw VaultError(.settings, "\(name) for Vault's login can't be read: \(error)")
        }
        let trimmed = read.withoutBlanks
        guard 1...maximumSecretBytes ~= trimmed.count else {
            throw VaultError(
                .settings, "\(name) for Vault's login \(trimmed.count == 0 ? "is empty" : "is larger than 64 KiB")")
        }
        return trimmed
    }
}

/// A token, with notes for the operator.
struct VaultGrant {
    let token: VaultToken
    let notes: [String]
}

extension VaultClient {
    /// What Vault says about a token. Nil if the token is not valid: it was revoked, has expired, or is not from this
    /// server.
    func facts(of token: SecretBytes) throws(VaultError) -> VaultTokenFacts? {
        let call = VaultCall(method: .get, path: try VaultPath("auth/token/lookup-self"), action: "look its token up")
        do throws(VaultError) {
            let reply = try send(call, token: token)
            let envelope = try reply.read(VaultTokenFacts.self, for: call.action)
            guard let facts = envelope.data else { throw reply.malformed("'data' is missing", for: call.action) }
            return facts
        } catch  where error.status == 403 {
            return nil
        }
    }

    /// Renews a token. Vault decides how long the renewed token is valid.
    func renew(_ token: VaultToken) throws(VaultError) -> VaultGrant {
        let call = VaultCall(
            method: .post, path: try VaultPath("auth/token/renew-self"), body: Array("{}".utf8),
            action: "renew its token")
        let now = now()
        let reply = try send(call, token: token.secret)
        let envelope = try reply.read(VaultNothing.self, for: call.action)
        guard let auth = envelope.auth else { throw reply.malformed("'auth' is missing", for: call.action) }
        return VaultGrant(
            token: VaultToken(token, renewedBy: auth, at: now), notes: envelope.notes(hiding: reply.secrets))
    }
}

extension SecretBytes {
    /// The secret without white space at its start and end. Files usually end with a line end.
    fileprivate var withoutBlanks: SecretBytes {
        withBytes { bytes in
            let isBlank = { (byte: UInt8) in byte == 0x20 || 0x09...0x0D ~= byte }
            let start = bytes.indices.first { !isBlank(bytes[$0]) } ?? bytes.count
            let end = bytes.indices.last { !isBlank(bytes[$0]) }.map { $0 + 1 } ?? start
            return SecretBytes(capacity: end - start) { output in
                for index in start..<end { output.append(bytes[index]) }
            }
        }
    }
}
