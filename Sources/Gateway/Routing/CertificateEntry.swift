import Issuers
import PKI
import State

/// A certificate of the state: the leaf, and the key still sealed. The certificate is parsed when a handshake first
/// needs it, since the parsed form takes 6 KiB and this form half a KiB, and there may be 100,000. An entry is one
/// allocation, shared by all workers and the control side.
@safe
struct CertificateEntry: Named {
    /// Values that many entries share.
    final class Common: Sendable {
        /// The certificates above the leaf in the chain.
        let intermediates: TLSIntermediates
        /// One of the leaves, to which the other leaves are compared. Leaves of one CA are similar.
        let base: DeltaBase
        /// The directory of the ACME CA that issued the certificates; empty if another source did, or if it is not
        /// known.
        let directory: String
        let sealer: Sealer

        init(intermediates: TLSIntermediates, base: DeltaBase, directory: String, sealer: Sealer) {
            self.intermediates = intermediates
            self.base = base
            self.directory = directory
            self.sealer = sealer
        }
    }

    /// The values of fixed size, and the end offsets of the bytes after them: the leaf's difference from the base, the
    /// sealed key, the record, the certificate's name, and its domains.
    private struct Fixed {
        let common: Common
        let expiresAt: Int64
        let notBefore: Int64
        let createdAt: Int64
        var restsUntil: Int64
        let leafEnd: Int32
        let keyEnd: Int32
        let recordEnd: Int32
        let nameEnd: Int32
        let domainsEnd: Int32
        let source: CertificateFacts.Source
        let autoRenew: Bool
        let isLost: Bool

        init(_ stored: StoredCertificate, common: Common, ends: [Int32]) {
            let facts = stored.facts
            self.common = common
            expiresAt = facts.expiresAt
            notBefore = facts.notBefore
            createdAt = facts.createdAt
            restsUntil =
                common.directory.isEmpty && facts.loss == nil
                ? CertificateFacts.restsUntil(notBefore: facts.notBefore, expiresAt: facts.expiresAt) : 0
            (leafEnd, keyEnd, recordEnd, nameEnd, domainsEnd) = (ends[0], ends[1], ends[2], ends[3], ends[4])
            source = facts.source
            autoRenew = facts.autoRenew
            isLost = facts.loss != nil
        }
    }

    private let storage: ManagedBuffer<Fixed, UInt8>

    init(_ stored: StoredCertificate, leaf: [UInt8], common: Common) {
        let domains = stored.facts.domains.reduce(into: []) { $0 += Array($1.utf8) + [0] }
        var (bytes, ends) = ([UInt8](), [Int32]())
        for part in [
            common.base.difference(of: leaf), stored.sealedKey, stored.record, Array(stored.name.utf8), domains,
        ] {
            bytes += part
            ends.append(Int32(bytes.count))
        }
        storage = .create(minimumCapacity: bytes.count) { _ in Fixed(stored, common: common, ends: ends) }
        // The memory has room for `bytes`, and bytes need no deinitializer.
        unsafe storage.withUnsafeMutablePointerToElements { start in
            unsafe start.initialize(from: bytes, count: bytes.count)
        }
    }

    // Accessed by address, since an access to `header` would also cover `restsUntil`, which another thread may be
    // changing.
    private var fixed: Fixed {
        unsafeAddress { unsafe UnsafePointer(storage.withUnsafeMutablePointerToHeader { unsafe $0 }) }
        nonmutating unsafeMutableAddress { unsafe storage.withUnsafeMutablePointerToHeader { unsafe $0 } }
    }

    private func lending<Result>(_ start: Int32, _ end: Int32, _ body: (Bytes) -> Result) -> Result {
        // The range lies within the bytes that init wrote; the memory lives as long as the storage.
        unsafe storage.withUnsafeMutablePointerToElements { bytes in
            body(unsafe Bytes(bytes + Int(start), count: Int(end - start)))
        }
    }

    /// The end of the certificate's validity, in seconds since 1970.
    var expiresAt: Int64 { fixed.expiresAt }

    /// The origin of the certificate: its issuer or the operator.
    var source: CertificateFacts.Source { fixed.source }

    /// Until this time, in seconds since 1970, the certificate is not due for renewal and need not be checked, unless
    /// the CA has given advice about its renewal. Only the control side may use it.
    var restsUntil: Int64 {
        get { fixed.restsUntil }
        nonmutating set { fixed.restsUntil = newValue }
    }

    private var leaf: [UInt8] {
        lending(0, fixed.leafEnd) { fixed.common.base.bytes(from: $0) }
    }

    var name: String { lendingName(\.text) }

    /// Lends the certificate's name in the state to `body`.
    func lendingName<Result>(_ body: (Bytes) -> Result) -> Result {
        lending(fixed.recordEnd, fixed.nameEnd, body)
    }

    func isNamed(_ name: Bytes) -> Bool { lendingName { $0.equals(name) } }

    /// Lends the certificate's domains to `body`.
    private func lendingDomains<Result>(_ body: (NameList) -> Result) -> Result {
        lending(fixed.nameEnd, fixed.domainsEnd) { body(NameList($0)) }
    }

    /// The domains of the certificate, in lower case; wildcards as `*.…`.
    var domains: [String] {
        var domains: [String] = []
        lendingDomains { $0.forEach { domains.append($0.text) } }
        return domains
    }

    /// The facts of the certificate, without those that only people read.
    var facts: CertificateFacts {
        CertificateFacts(
            domains: domains, source: source, issuerCommonName: "", notBefore: fixed.notBefore,
            expiresAt: fixed.expiresAt, autoRenew: fixed.autoRenew, createdAt: fixed.createdAt,
            fingerprint: Digest.sha256Text(leaf), directory: fixed.common.directory,
            loss: fixed.isLost ? "is no longer good" : nil)
    }

    /// The values needed for a renewal; nil for the operator's own certificates and others that are not renewed.
    var managed: ManagedCertificate? {
        guard fixed.autoRenew, source != .custom else { return nil }
        return ManagedCertificate(
            named: name, record: lending(fixed.keyEnd, fixed.recordEnd, \.copy), autoRenew: true,
            source: source)
    }

    /// Whether the certificate is for this name (`from` is 0), or for the wildcard above it (`from` is the offset of
    /// the parent's dot).
    func isFor(_ key: HostKey, from start: Int) -> Bool {
        lendingDomains { $0.contains(key, from: start) }
    }

    /// Calls `body` with the hash of each domain.
    func forEachHash(_ body: (UInt32) -> Void) {
        lendingDomains { $0.forEach { body(NameHash.of($0)) } }
    }

    /// Opens the sealed key. Fails if the key does not belong to this name and leaf; a key sealed by an earlier version
    /// is not bound to them.
    ///
    /// - Parameter fingerprint: SHA-256 of the leaf in lower-case hex.
    func openKey(fingerprint: String) throws -> SecretBytes {
        try fixed.common.sealer.openKey(
            lending(fixed.leafEnd, fixed.keyEnd, \.copy), ofCertificate: name, fingerprint: fingerprint)
    }

    /// Opens the key and parses the chain.
    func credential() throws -> TLSCredential {
        let leaf = leaf
        let key = try PrivateKey(der: openKey(fingerprint: Digest.sha256Text(leaf)))
        return try TLSCredential(leaf: leaf, intermediates: fixed.common.intermediates, key: key)
    }
}

// Sound to share: after init only `restsUntil` changes, and only the control thread uses it.
extension CertificateEntry: @unchecked Sendable {}
