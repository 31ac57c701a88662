/// How Aegis logs in to a Vault. Files and environment variables are read again at each login.
package enum VaultLogin: Sendable, Equatable {
    package struct AppRole: Sendable, Equatable {
        package var mount = "approle"
        package var roleID = Secret(.inline(""))
        package var secretID = Secret(.inline(""))
    }

    /// A service account's token, which Kubernetes puts into the pod.
    package struct Kubernetes: Sendable, Equatable {
        package var mount = "kubernetes"
        package var role = ""
        /// The file with the token.
        package var tokenFile = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    }

    package struct JWT: Sendable, Equatable {
        package var mount = "jwt"
        package var role = ""
        package var token = Secret(.inline(""))
    }

    package struct ClientCertificate: Sendable, Equatable {
        package var mount = "cert"
        /// The name of the identity whose certificate Aegis shows to Vault.
        package var identity = ""
    }

    /// A token that the operator provides.
    case token(Secret)
    case appRole(AppRole)
    case kubernetes(Kubernetes)
    case jwt(JWT)
    /// The identity's certificate, shown in the TLS handshake.
    case certificate(ClientCertificate)

    /// The name of the identity to log in with; nil for other methods.
    package var identity: String? {
        if case .certificate(let login) = self { login.identity } else { nil }
    }

    var secrets: [Secret] {
        switch self {
        case .token(let token): [token]
        case .appRole(let login): [login.roleID, login.secretID]
        case .jwt(let login): [login.token]
        case .kubernetes, .certificate: []
        }
    }

    private struct Token: Sendable { var token = Secret(.inline("")) }

    static let shape = ValueShape<VaultLogin>.union(
        "a login", by: "method",
        [
            UnionCase(
                "token",
                ObjectShape<Token>(
                    "a login by token", "A token of yours", initial: Token(),
                    fields: [
                        .tag("method", "token", "A token of yours"),
                        .required("token", \.token, .secret, "The token"),
                    ]),
                wrap: { .token($0.token) },
                unwrap: { if case .token(let token) = $0 { Token(token: token) } else { nil } }),
            UnionCase(
                "approle",
                ObjectShape<AppRole>(
                    "a login by AppRole", "An AppRole's identifiers", initial: AppRole(),
                    fields: [
                        .tag("method", "approle", "An AppRole's identifiers"), .mount(\.mount),
                        .required("role_id", \.roleID, .secret, "The role's identifier"),
                        .required("secret_id", \.secretID, .secret, "The secret identifier"),
                    ]),
                wrap: { .appRole($0) }, unwrap: { if case .appRole(let login) = $0 { login } else { nil } }),
            UnionCase(
                "kubernetes",
                ObjectShape<Kubernetes>(
                    "a login by Kubernetes", "The pod's service account", initial: Kubernetes(),
                    fields: [
                        .tag("method", "kubernetes", "The pod's service account"), .mount(\.mount),
                        .required("role", \.role, .name, "The role to log in as"),
                        .defaulted("token_file", \.tokenFile, .path, "The file with the service account's token"),
                    ]),
                wrap: { .kubernetes($0) }, unwrap: { if case .kubernetes(let login) = $0 { login } else { nil } }),
            UnionCase(
                "jwt",
                ObjectShape<JWT>(
                    "a login by JWT", "A JSON Web Token", initial: JWT(),
                    fields: [
                        .tag("method", "jwt", "A JSON Web Token"), .mount(\.mount),
                        .required("role", \.role, .name, "The role to log in as"),
                        .required("token", \.token, .secret, "The JSON Web Token"),
                    ]),
                wrap: { .jwt($0) }, unwrap: { if case .jwt(let login) = $0 { login } else { nil } }),
            UnionCase(
                "cert",
                ObjectShape<ClientCertificate>(
                    "a login by certificate", "A client certificate", initial: ClientCertificate(),
                    fields: [
                        .tag("method", "cert", "A client certificate"), .mount(\.mount),
                        .required("identity", \.identity, .name, "The identity to show"),
                    ]),
                wrap: { .certificate($0) }, unwrap: { if case .certificate(let login) = $0 { login } else { nil } }),
        ])
}

extension Field {
    /// The path where a login method is mounted; by default the method's name.
    fileprivate static func mount(_ path: WritableKeyPath<Root, String> & Sendable) -> Field {
        .defaulted("mount", path, .vaultPath, "Where the method is mounted")
    }
}
