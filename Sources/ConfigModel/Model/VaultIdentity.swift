import PeerNames

/// An identity from a Vault: issued by its PKI engine, or read from its key-value store. The rules require one of the
/// two.
package struct VaultIdentity: Sendable, Equatable {
    /// A certificate that Vault's PKI engine signs for a key that Aegis generates. The identity's CAs are the CAs in
    /// Vault's answer.
    package struct Issued: Sendable, Equatable {
        /// The path where the PKI engine is mounted.
        package var mount = "pki"
        package var role = ""
        package var commonName = PeerName.dns("")
        /// The SANs besides the common name.
        package var sans: [PeerName] = []
        /// The validity that Aegis asks for. Vault may shorten it.
        package var ttl = Duration.seconds(86_400)
    }

    /// A certificate and its key in the key-value store, version 2.
    package struct StoredSecret: Sendable, Equatable {
        /// The path where the key-value store is mounted.
        package var mount = "secret"
        package var path = ""
        /// The member of the secret that contains the certificate and its chain in PEM.
        package var certificateKey = "cert"
        /// The member of the secret that contains the private key in PEM.
        package var privateKeyKey = "key"
        /// The member of the secret that contains the CAs in PEM; nil if peers can't be verified with this identity.
        package var authoritiesKey: String?
    }

    /// The name of an entry in `vaults`.
    package var vault = ""
    /// Nil when the identity is read from the key-value store.
    package var issued: Issued?
    /// Nil when the identity is issued.
    package var secret: StoredSecret?
    package var peers = PeerRequirements()

    static let shape = ObjectShape<VaultIdentity>(
        "an identity", "A certificate, its key and CAs from Vault", initial: VaultIdentity(),
        fields: [
            .tag("source", "vault", "HashiCorp Vault or OpenBao"),
            .required("vault", \.vault, .name, "Which of 'vaults'"),
            .optional("pki", \.issued, issued.shape, "Issued by its PKI engine, for a key made here"),
            .optional("kv", \.secret, secret.shape, "Read from its key-value store, version 2"),
        ] + PeerRequirements.fields(\.peers.verifiesChain, \.peers.requiredSANs, \.peers.allowsExpired))

    private static let issued = ObjectShape<Issued>(
        "a certificate from Vault", "A certificate that Vault's PKI engine issues", initial: Issued(),
        fields: [
            .defaulted("mount", \.mount, .vaultPath, "Where the PKI engine is mounted"),
            .required("role", \.role, .name, "The role to issue by"),
            .required("common_name", \.commonName, .peerName, "The certificate's common name and first SAN"),
            .defaulted("sans", \.sans, .list(of: .peerName, atMost: 100, "names"), "Its other SANs"),
            .defaulted(
                "ttl", \.ttl, .duration(in: .seconds(60) ... .seconds(3650 * 86_400)),
                "The validity to ask for; it is renewed with a third of it left"),
        ])

    private static let secret = ObjectShape<StoredSecret>(
        "a secret of Vault", "A certificate and its key in Vault's key-value store", initial: StoredSecret(),
        fields: [
            .defaulted("mount", \.mount, .vaultPath, "Where the key-value store is mounted"),
            .required("path", \.path, .vaultPath, "The secret's path below that"),
            .defaulted("cert", \.certificateKey, .name, "The key with the certificate and its chain in PEM"),
            .defaulted("key", \.privateKeyKey, .name, "The key with the private key in PEM"),
            .optional("ca", \.authoritiesKey, .name, "The key with the CAs that peers must come from, in PEM"),
        ])
}
