import PKI
import PeerNames
import Remote

/// A certificate to order from a PKI mount.
package struct VaultCertificateOrder: Sendable, Equatable {
    package let mount: String
    package let role: String
    /// Host names and IP addresses. The first one is also the common name.
    package let names: [SubjectName]
    /// Further names that are URIs, such as SPIFFE IDs.
    package let uris: [PeerName]
    /// The lifetime to ask for, in seconds. Nil for the role's default.
    package let seconds: Int64?

    package init(mount: String, role: String, names: [SubjectName], uris: [PeerName] = [], seconds: Int64? = nil) {
        (self.mount, self.role, self.names, self.uris, self.seconds) = (mount, role, names, uris, seconds)
    }

    /// Makes an order from the names in the configuration: host names, IP addresses, and URIs with `://`.
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
    /// The leaf and the CA certificates above it. Self-signed CA certificates are left out, since peers have their own
    /// copies.
    package let chain: CertificateChain
    /// The CA certificates in the answer, including roots. Empty if Vault does not know the chain.
    package let authorities: [Certificate]
    /// A line for each of Vault's warnings, for each name of the order that the certificate lacks, and for each oddity
    /// in the answer.
    package let notes: [String]
    /// Whether the answer to an earlier try was lost. Vault may then have signed another certificate, which is never
    /// used and does no harm.
    package let mayHaveOrphan: Bool

    /// When to renew the certificate, in seconds since 1970: after two thirds of its lifetime, plus up to a fifteenth
    /// of the lifetime. `jitter`, a hash, decides how much is added. The certificate's own dates are used, since Vault
    /// may have shortened the lifetime.
    package func renewAt(jitter: UInt64) -> Int64 { Self.renewAt(chain, jitter: jitter) }

    /// When to renew the leaf of a chain, in seconds since 1970.
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

    /// All PEM texts in the answer, the leaf first.
    var pem: [UInt8] { Array(([certificate] + (chain?.elements ?? []) + [issuer ?? ""]).joined(separator: "\n").utf8) }
}

extension VaultCertificate {
    /// Makes the chain of `key` from the PEM texts in an answer. `now` is in seconds since 1970.
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
            notes.append("an answer of Vault was lost, so Vault may have signed a certificate that nobody uses")
        }
        self.notes = notes
        self.mayHaveOrphan = mayHaveOrphan
    }
}

extension Certificate {
    /// Whether the certificate is signed with its own key, judging by its names and key identifiers.
    var isSelfSigned: Bool {
        guard isSelfIssued else { return false }
        guard let above = authorityKeyIdentifier, let own = subjectKeyIdentifier else { return true }
        return above == own
    }
}
