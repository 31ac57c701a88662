import PKI
import Vault

/// Where in a Vault an identity comes from, according to the configuration.
package struct VaultIdentityDeclaration: Sendable, Equatable {
    package enum Content: Sendable, Equatable {
        /// A certificate that Vault signs for a key that Aegis generates.
        case certificate(VaultCertificateOrder)
        /// A certificate and its key that an operator stores in Vault.
        case secret(VaultSecretPlace)
    }

    package let name: String
    /// The name of the Vault in the configuration.
    package let vault: String
    package let content: Content
    /// The SHA-256 of all settings that decide which identity the Vault returns. The login is not among them.
    package let digest: [UInt8]

    /// - Parameters:
    ///   - address: The Vault's URL.
    ///   - namespace: The namespace of the calls to the Vault; nil for the root namespace.
    package init(name: String, vault: String, address: String, namespace: String?, content: Content) {
        (self.name, self.vault, self.content) = (name, vault, content)
        let parts =
            switch content {
            case .certificate(let order):
                ["pki", order.mount, order.role, order.seconds.map { "\($0)" } ?? ""] + order.names.map(\.text)
                    + ["uris"] + order.uris.map(\.text)
            case .secret(let place):
                ["kv", place.mount, place.path, place.certificate, place.key, place.authorities ?? ""]
            }
        // Each part is preceded by its length, so that different lists of parts give different digests.
        digest = Digest.sha256(
            ([address, namespace ?? ""] + parts).flatMap { Array("\($0.utf8.count) \($0)".utf8) })
    }
}
