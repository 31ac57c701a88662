import PKI
import PeerNames
import Remote

/// A certificate to ask a PKI mount for.
package struct VaultCertificateOrder: Sendable, Equatable {
    package let mount: String
    package let role: String
    /// Host names and IP addresses. The first one is also the common name.
    package let names: [SubjectName]
    /// URIs, such as SPIFFE IDs.
    package let uris: [PeerName]
    /// The wanted lifetime in seconds. Nil means that of the role.
    package let seconds: Int64?

    package init(mount: String, role: String, names: [SubjectName], uris: [PeerName] = [], seconds: Int64? = nil) {
        (self.mount, self.role, self.names, self.uris, self.seconds) = (mount, role, names, uris, seconds)
    }

    /// Reads names as the configuration has them: host names, IP addresses, and URIs with `://`.
    package init(
        mount: String, role: String, commonName: String?, alternatives: [String], seconds: Int64? = nil
    ) throws(VaultError) {
        var names: [SubjectName] = []
        var uris: [PeerName] = []
        for text in [commonName].compactMap(\.self) + alternatives {
            if text.contains("://") {
                guard let uri = PeerName(uri: Array(text.utf8)) else {
                    throw VaultError(.settings, "'\(text.oneLine(limit: 100))' is no URI that a certificate can have")
                }
                if !uris.contains(uri) { uris.append(uri) }
                continue
            }
            do throws(PKIError) {
                let name = try SubjectName(text)
                if !names.contains(name) { names.append(name) }
            } catch {
                throw VaultError(.settings, "\(error)")
            }
        }
        self.init(mount: mount, role: role, names: names, uris: uris, seconds: seconds)
    }

    /// Makes the request (CSR) that the order sends.
    package func request(_ key: PrivateKey) throws(VaultError) -> CertificateRequest {
        do throws(PKIError) {
            return try CertificateRequest(key: key, names: names, uris: uris)
        } catch {
            throw VaultError(.settings, "no request for a certificate can be made: \(error)")
        }
    }
}

/// A certificate that a PKI mount has signed.
package struct VaultCertificate: Sendable {
    /// The leaf and the CA certificates above it, without self-signed ones, which peers have themselves.
    package let chain: CertificateChain
    /// The CA certificates of the answer, the roots among them too. Empty if Vault does not know the chain.
    package let authorities: [Certificate]
    /// What Vault did in another way than was asked, and what is odd about the answer; a line each.
    package let notes: [String]
    /// Whether Vault may have signed another certificate for the same call, whose answer was lost. Nobody uses it, and
    /// it does no harm.
    package let mayHaveOrphan: Bool

    /// When to renew: after two thirds of the leaf's life, and up to a fifteenth of it later, by `jitter`, a hash. In
    /// seconds since 1970, by the certificate itself, since Vault may have cut the lifetime.
    package func renewAt(jitter: UInt64) -> Int64 { Self.renewAt(chain, jitter: jitter) }

    /// When to renew a certificate of a chain.
    package static func renewAt(_ chain: CertificateChain, jitter: UInt64) -> Int64 {
        let (start, end) = (chain.leaf.notBefore, chain.expiresAt)
        let life = VaultTokenLife(grantedAt: start, seconds: max(1, end - start), fullSeconds: 0, isRenewable: false)
        return life.dueAt(jitter: jitter) ?? end
    }
}

/// The answer to `sign`.
struct VaultSigned: Decodable {
    let certificate: String
    @IfReadable var issuer: String?
    @IfReadable var chain: ReadableList<String>?

    private enum CodingKeys: String, CodingKey {
        case certificate
        case issuer = "issuing_ca"
        case chain = "ca_chain"
    }

    /// All PEM texts of the answer, the leaf first.
    var pem: [UInt8] { Array(([certificate] + (chain?.elements ?? []) + [issuer ?? ""]).joined(separator: "\n").utf8) }
}

extension VaultCertificate {
    /// Reads the chain of a key from PEM texts. `now` is in seconds since 1970.
    init(
        _ signed: VaultSigned, for order: VaultCertificateOrder, key: PrivateKey, now: Int64, notes: [String],
        mayHaveOrphan: Bool
    ) throws(PKIError) {
        let found = try CertificateChain.inOrder(certificatesOf: signed.pem, key: key, now: now)
        let shown = found.chain.certificates.enumerated().filter { $0 == 0 || !$1.isSelfSigned }.map(\.element)
        chain = try CertificateChain(certificates: shown, key: key, now: now)
        var authorities: [Certificate] = []
        for one in found.chain.certificates.dropFirst() + found.chain.leftOut + found.others
        where !authorities.contains(one) && one.isCA {
            authorities.append(one)
        }
        self.authorities = authorities
        var notes = notes
        for error in found.unreadable { notes.append("a certificate of Vault's answer can't be read: \(error)") }
        for name in order.names where !chain.leaf.names.contains(name) {
            notes.append("the certificate from Vault lacks the name '\(name)': the role leaves it out")
        }
        if !chain.leaf.isValid(at: now) {
            notes.append("the certificate from Vault is not valid now: do the clocks agree?")
        }
        if mayHaveOrphan {
            notes.append("an answer of Vault's was lost, so it may have signed a certificate that nobody uses")
        }
        self.notes = notes
        self.mayHaveOrphan = mayHaveOrphan
    }
}

extension Certificate {
    /// Whether the certificate is signed with its own key, as far as names and key identifiers show.
    var isSelfSigned: Bool {
        guard isSelfIssued else { return false }
        guard let above = authorityKeyIdentifier, let own = subjectKeyIdentifier else { return true }
        return above == own
    }
}
