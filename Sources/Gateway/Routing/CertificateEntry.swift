import Issuers
import PKI
import State

/// A certificate of the state as workers keep it: chain in DER, key sealed. It is parsed when a handshake first asks for it
/// (design: half a KiB where the parsed form takes six). Immutable, shared by all workers.
final class CertificateEntry: Sendable {
    /// Its name in the state.
    let name: String
    /// The chain, leaf first.
    let chain: [[UInt8]]
    /// The end of its validity, in seconds since 1970.
    let expiresAt: Int64
    /// The names it is for, in lower case; wildcards as `*.…`.
    let domains: [String]
    private let sealedKey: [UInt8]
    private let sealer: Sealer

    init(
        name: String, chain: [[UInt8]], expiresAt: Int64, domains: [String], sealedKey: [UInt8], sealer: Sealer
    ) {
        self.name = name
        self.chain = chain
        self.expiresAt = expiresAt
        self.domains = domains
        self.sealedKey = sealedKey
        self.sealer = sealer
    }

    /// Opens the key alone: whether it belongs to this name and leaf, unless an earlier version has sealed it.
    func openKey() throws -> SecretBytes {
        try sealer.openKey(sealedKey, ofCertificate: name, fingerprint: Digest.sha256Text(chain.first ?? []))
    }

    /// Opens the key and parses the chain.
    func credential() throws -> TLSCredential {
        try TLSCredential(chain: chain, key: PrivateKey(der: openKey()))
    }
}
