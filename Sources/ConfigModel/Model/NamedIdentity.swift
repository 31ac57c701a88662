/// A certificate with which the gateway identifies itself to peers, its key, and the CAs that peers' certificates must
/// come from.
package struct NamedIdentity: Sendable, Equatable, NamedValue {
    package enum Source: Sendable, Equatable {
        /// PEM files that the operator provides.
        case files(IdentityFiles)
        /// Environment variables of the gateway.
        case environment(IdentityVariables)
        /// A CA in a directory that Aegis creates. For development only.
        case development(DevelopmentIdentity)
        /// HashiCorp Vault or OpenBao.
        case vault(VaultIdentity)
    }

    /// The name by which other parts of the file refer to the identity.
    package var name: String
    /// The place of the name in the file.
    package var origin: SourceOrigin
    package var source: Source

    /// What peers' certificates must satisfy.
    package var peers: PeerRequirements {
        switch source {
        case .files(let files): files.peers
        case .environment(let variables): variables.peers
        case .development(let development): development.peers
        case .vault(let vault): vault.peers
        }
    }

    /// Whether the identity has CAs according to the file, so that peers can be verified. Only the gateway can tell
    /// whether an environment variable is set.
    package var hasAuthorities: Bool {
        switch source {
        case .files(let files): files.authoritiesFile != nil
        case .environment, .development: true
        case .vault(let vault): vault.secret == nil || vault.secret?.authoritiesKey != nil
        }
    }

    /// The name of the Vault that the identity comes from; nil for other sources.
    package var vaultName: String? {
        if case .vault(let settings) = source { settings.vault } else { nil }
    }

    private init(_ source: Source) {
        (name, origin) = ("", .none)
        self.source = source
    }

    static let shape = ValueShape<NamedIdentity>.union(
        "an identity", by: "source",
        [
            UnionCase(
                "file", IdentityFiles.shape, wrap: { NamedIdentity(.files($0)) },
                unwrap: { if case .files(let files) = $0.source { files } else { nil } }),
            UnionCase(
                "env", IdentityVariables.shape, wrap: { NamedIdentity(.environment($0)) },
                unwrap: { if case .environment(let variables) = $0.source { variables } else { nil } }),
            UnionCase(
                "dev", DevelopmentIdentity.shape, wrap: { NamedIdentity(.development($0)) },
                unwrap: { if case .development(let development) = $0.source { development } else { nil } }),
            UnionCase(
                "vault", VaultIdentity.shape, wrap: { NamedIdentity(.vault($0)) },
                unwrap: { if case .vault(let vault) = $0.source { vault } else { nil } }),
        ])
}

/// An identity in PEM files. Relative paths are relative to the configuration file.
package struct IdentityFiles: Sendable, Equatable {
    /// The certificate and its chain.
    package var certificateFile = ""
    /// The private key, not encrypted. Only the owner may have permission to read the file.
    package var keyFile = ""
    /// The CAs that certificates of peers must come from; nil: peers can't be verified with this identity.
    package var authoritiesFile: String?
    package var peers = PeerRequirements()

    static let shape = ObjectShape<IdentityFiles>(
        "an identity", "A certificate, its key and CAs in PEM files", initial: IdentityFiles(),
        fields: [
            .tag("source", "file", "PEM files"),
            .required("cert_file", \.certificateFile, .path, "The certificate and its chain in PEM"),
            .required("key_file", \.keyFile, .path, "The private key in PEM, for its owner alone to read"),
            .optional("ca_file", \.authoritiesFile, .path, "The CAs that peers' certificates must come from, in PEM"),
        ] + PeerRequirements.fields(\.peers.verifiesChain, \.peers.requiredSANs, \.peers.allowsExpired))
}

/// An identity in environment variables of the gateway, which hold PEM or base64 of PEM.
package struct IdentityVariables: Sendable, Equatable {
    /// The variable with the certificate and its chain.
    package var certificateVariable = "AEGIS_TLS_CERT"
    /// The variable with the private key.
    package var keyVariable = "AEGIS_TLS_KEY"
    /// The variable with the CAs that peers' certificates must come from. If it is not set, the identity has no CAs.
    package var authoritiesVariable = "AEGIS_TLS_CA"
    package var peers = PeerRequirements()

    static let shape = ObjectShape<IdentityVariables>(
        "an identity", "A certificate, its key and CAs in environment variables", initial: IdentityVariables(),
        fields: [
            .tag("source", "env", "Environment variables of the gateway, with PEM or base64 of PEM"),
            .defaulted(
                "cert_env_var", \.certificateVariable, .variable, "The environment variable with the certificate"),
            .defaulted("key_env_var", \.keyVariable, .variable, "The environment variable with the private key"),
            .defaulted("ca_env_var", \.authoritiesVariable, .variable, "The environment variable with the CAs"),
        ] + PeerRequirements.fields(\.peers.verifiesChain, \.peers.requiredSANs, \.peers.allowsExpired))
}

/// An identity from a CA that Aegis creates. For development only: anybody who can read the directory can impersonate
/// every node.
package struct DevelopmentIdentity: Sendable, Equatable {
    /// The directory with the certificates and keys of the CA and the node. A relative path is relative to the
    /// configuration file.
    package var directory = "./certs"
    package var peers = PeerRequirements()

    static let shape = ObjectShape<DevelopmentIdentity>(
        "an identity", "A CA that Aegis makes itself, for development alone", initial: DevelopmentIdentity(),
        fields: [
            .tag("source", "dev", "A CA that Aegis makes itself, for development alone"),
            .defaulted(
                "cert_dir", \.directory, .path, "The directory of its certificates and keys, relative to this file"),
        ] + PeerRequirements.fields(\.peers.verifiesChain, \.peers.requiredSANs, \.peers.allowsExpired))
}

extension ValueShape where Value == String {
    /// Reads and checks the name of an environment variable.
    fileprivate static let variable = string(
        "the name of an environment variable", lengths: 1...100, pattern: "^[A-Za-z_][A-Za-z0-9_]*$",
        check: { (text) throws(ValueFault) in
            guard Name.isVariable(text) else {
                throw ValueFault(
                    "bad name of an environment variable",
                    hint: text.hasPrefix("$") ? "write the name alone, without '$'" : "it is letters, digits and '_'")
            }
        })
}
