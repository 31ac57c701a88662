import PKI
import Vault

/// What an identity is obtained from, as the configuration says.
package struct VaultIdentityDeclaration: Sendable, Equatable {
    package enum Content: Sendable, Equatable {
        /// A certificate that Vault signs for a key made here.
        case certificate(VaultCertificateOrder)
        /// A certificate and its key that somebody puts into Vault.
        case secret(VaultSecretPlace)
    }

    /// The identity's name.
    package let name: String
    /// The name of the Vault in the configuration.
    package let vault: String
    package let content: Content
    /// The SHA-256 of everything that decides which identity this is. Another login of the same Vault changes nothing.
    package let digest: [UInt8]

    /// - Parameters:
    ///   - address: The Vault's URL.
    ///   - namespace: Its namespace.
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
        // A length before each part keeps different lists of parts apart.
        digest = Digest.sha256(
            ([address, namespace ?? ""] + parts).flatMap { Array("\($0.utf8.count) \($0)".utf8) })
    }
}
