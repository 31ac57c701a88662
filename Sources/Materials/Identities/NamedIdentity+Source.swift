import ConfigModel
import Vault

extension NamedIdentity {
    /// Where the identity is read from. `machine` is this machine's name, `vaults` are the Vaults of the configuration
    /// by name.
    ///
    /// - Throws: If the settings of the identity or of its Vault can't be used.
    package func materials(
        of node: NodeSettings?, machine: String, vaults: [String: ConfigModel.VaultServer]
    ) throws -> IdentitySource {
        switch source {
        case .files(let files):
            .files(
                certificate: files.certificateFile, key: files.keyFile, authorities: files.authoritiesFile)
        case .environment(let variables):
            .variables(
                certificate: variables.certificateVariable, key: variables.keyVariable,
                authorities: variables.authoritiesVariable)
        case .development(let development):
            .development(
                directory: development.directory, nodeID: node?.id ?? machine, addressHost: node?.address?.host)
        case .vault(let settings): .vault(try declaration(settings, vaults[settings.vault]))
        }
    }

    private func declaration(
        _ settings: VaultIdentity, _ server: ConfigModel.VaultServer?
    ) throws -> VaultIdentityDeclaration {
        guard let server else { throw IdentityFault("there is no Vault '\(settings.vault)'") }
        let content: VaultIdentityDeclaration.Content
        if let issued = settings.issued {
            content = .certificate(
                try VaultCertificateOrder(
                    mount: issued.mount, role: issued.role, commonName: issued.commonName.text,
                    alternatives: issued.sans.map(\.text), seconds: issued.ttl.components.seconds))
        } else if let secret = settings.secret {
            content = .secret(
                VaultSecretPlace(
                    mount: secret.mount, path: secret.path, certificate: secret.certificateKey,
                    key: secret.privateKeyKey, authorities: secret.authoritiesKey))
        } else {
            throw IdentityFault("it has neither 'pki' nor 'kv'")
        }
        return VaultIdentityDeclaration(
            name: name, vault: settings.vault, address: server.address.text, namespace: server.namespace,
            content: content)
    }

    /// The unsafe exceptions that the settings allow, for the log. Each text continues the sentence "the identity 'x'
    /// …".
    package var laxities: [String] {
        [
            peers.verifiesChain ? nil : "accepts certificates of peers that anybody can make (verify_chain: false)",
            peers.allowsExpired ? "accepts expired certificates of peers (allow_expired: true)" : nil,
        ].compactMap(\.self)
    }
}
