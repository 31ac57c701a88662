/// Facts about a stored certificate, without its chain and key.
package struct CertificateFacts: Sendable, Equatable {
    /// Where a certificate came from.
    package enum Source: String, Sendable, CaseIterable {
        /// The operator's own files.
        case custom
        case cloudflareOrigin = "cloudflare_origin"
        /// An ACME CA.
        case letsencrypt
        /// The CA that Aegis runs itself.
        case localCA = "local_ca"
        /// A PKI engine of HashiCorp Vault or OpenBao.
        case vaultPKI = "vault_pki"
    }

    /// The names that the certificate covers: host names in wire form (ConfigModel's `DomainName`), wildcards and IP
    /// addresses.
    package var domains: [String]
    package var source: Source
    /// The common name of the CA; empty when the CA has none.
    package var issuerCommonName: String
    /// Start of validity, in seconds since 1970.
    package var notBefore: Int64
    /// End of validity, in seconds since 1970: the earliest end among the leaf and the certificates above it in the
    /// chain.
    package var expiresAt: Int64
    package var autoRenew: Bool
    /// When this leaf was stored, in seconds since 1970.
    package var createdAt: Int64
    /// SHA-256 of the leaf in lower-case hex.
    package var fingerprint: String
    /// For `custom`, SHA-256 of the PEM text that the certificate was read from. For `localCA`, SHA-256 of the CA's
    /// certificate. Empty for other sources.
    package var sourceDigest: [UInt8]
    /// The CA that issued the certificate: the URL of an ACME directory, or a Vault's name and mount. Empty for other
    /// sources, and when it is not known.
    package var directory: String
    /// Why the certificate can't be used although it has not expired, in words that follow its name, such as `was
    /// revoked on …`; nil when it can be used.
    package var loss: String?

    package init(
        domains: [String], source: Source, issuerCommonName: String, notBefore: Int64, expiresAt: Int64,
        autoRenew: Bool, createdAt: Int64, fingerprint: String, sourceDigest: [UInt8] = [], directory: String = "",
        loss: String? = nil
    ) {
        self.domains = domains
        self.source = source
        self.issuerCommonName = issuerCommonName
        self.notBefore = notBefore
        self.expiresAt = expiresAt
        self.autoRenew = autoRenew
        self.createdAt = createdAt
        self.fingerprint = fingerprint
        self.sourceDigest = sourceDigest
        self.directory = directory
        self.loss = loss
    }
}
