/// A PKI engine of HashiCorp Vault or OpenBao. It signs certificate requests for keys that Aegis generates.
package struct VaultPKIIssuer: IssuerKind {
    package static let typeName = "vault_pki"

    /// The name of an entry in `vaults`.
    package var vault = ""
    /// The path where the PKI engine is mounted.
    package var mount = "pki"
    package var role = ""
    /// The validity that Aegis asks for; nil for the role's default. Vault may shorten it.
    package var ttl: Duration?
    package var keyType = KeyType.ecdsaP256

    static let shape = ObjectShape<VaultPKIIssuer>(
        "a PKI engine of Vault", "The PKI engine of a HashiCorp Vault or OpenBao", initial: VaultPKIIssuer(),
        fields: [
            .tag("type", typeName, "A PKI engine of HashiCorp Vault or OpenBao"),
            .required("vault", \.vault, .name, "Which of 'vaults'"),
            .defaulted("mount", \.mount, .vaultPath, "Where the PKI engine is mounted"),
            .required("role", \.role, .name, "The role to sign by"),
            .optional(
                "ttl", \.ttl, .duration(in: .seconds(60) ... .seconds(3650 * 86_400)),
                "The validity to ask for; left out: the role's. A certificate is renewed with a third of it left"),
            .defaulted("key_type", \.keyType, .choice("key type"), "The keys of its certificates"),
        ])

    package var vaultName: String? { vault }

    package var defaultKeyType: KeyType? { keyType }
}
